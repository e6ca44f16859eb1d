// Compiles the native part of the package in the working directory, from its CMakeLists.txt, into
// dist/native/<platform>-<arch>/. A package with cmake-js among its devDependencies is a Node addon, whose .node file and
// programs are copied there; any other one writes there itself. Incremental; two at a time take turns.
//
// Without a compiler, CMake or (where it is needed) nvcc it says what is missing and succeeds: everything that needs no
// native code works.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const isAddon = manifest.devDependencies?.['cmake-js'] !== undefined
const usesCuda = readFileSync('CMakeLists.txt', 'utf8').includes('enable_language(CUDA)')
const out = join('dist', 'native', `${process.platform}-${process.arch}`)

mkdirSync(out, { recursive: true })
const missing = whatIsMissing()
if (missing) {
  console.log(`${manifest.name}: its native code is not built, because ${missing}`)
  process.exit(0)
}
const unlock = await lock(join('build', 'lock'))
try {
  compile()
  if (isAddon) copyProducts()
} catch (error) {
  console.error(`${manifest.name}: its native code could not be built`)
  if (error.status === undefined) console.error(error)
  process.exitCode = 1
} finally {
  unlock()
}

/** What stands in the way of a build and how to get it; null when nothing does. */
function whatIsMissing() {
  const compiler = process.env.CXX ?? 'c++'
  const gcc = versionOf(compiler, ['-dumpfullversion', '-dumpversion'])
  if (!gcc) return `there is no C++ compiler (${compiler}): install g++ 12 or newer, e.g. apt-get install g++`
  const isClang = /clang/i.test(outputOf(compiler, ['--version']) ?? '')
  if (!isClang && gcc[0] < 12) return `g++ 12 or newer is needed, and ${compiler} is ${gcc.join('.')}`
  const cmake = versionOf('cmake', ['--version'])
  if (!cmake) return 'there is no CMake: install cmake 3.22 or newer, e.g. apt-get install cmake'
  if (cmake[0] < 3 || (cmake[0] === 3 && cmake[1] < 22)) {
    return `cmake 3.22 or newer is needed, and this is ${cmake.join('.')}`
  }
  if (!outputOf('ninja', ['--version']) && !outputOf('make', ['--version'])) {
    return 'there is neither ninja nor make: install one, e.g. apt-get install ninja-build'
  }
  return usesCuda ? whatIsMissingOfCuda() : null
}

function whatIsMissingOfCuda() {
  const compiler = process.env.CUDACXX ?? 'nvcc'
  const release = outputOf(compiler, ['--version'])?.match(/release (\d+)\.(\d+)/)
  if (!release) return `there is no CUDA compiler (${compiler}): install the CUDA toolkit 12.8 or newer`
  const [major, minor] = release.slice(1).map(Number)
  if (major < 12 || (major === 12 && minor < 8)) {
    return `nvcc 12.8 or newer is needed, and ${compiler} is ${major}.${minor}`
  }
  return null
}

function outputOf(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? stdout : null
}

function versionOf(command, args) {
  return outputOf(command, args)
    ?.match(/\d+(\.\d+)*/)?.[0]
    .split('.')
    .map(Number)
}

function compile() {
  if (isAddon) {
    const cmakeJs = createRequire(join(process.cwd(), 'package.json')).resolve('cmake-js/bin/cmake-js')
    run(process.execPath, [cmakeJs, 'compile', '--log-level=error'])
    return
  }
  const generator = outputOf('ninja', ['--version']) ? ['-G', 'Ninja'] : []
  // scripts/check-native.sh of a package builds its tests in the same folder, of the same objects.
  const options = ['-DCMAKE_BUILD_TYPE=Release', '-DPOLYMLA_TESTS=OFF']
  run('cmake', ['-S', '.', '-B', 'build', ...options, ...generator])
  run('cmake', ['--build', 'build', '--parallel', String(availableParallelism())])
}

/** Runs a command and shows what it prints only when it fails. */
function run(command, args) {
  try {
    execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 })
  } catch (error) {
    console.error(`${error.stdout ?? ''}${error.stderr ?? ''}`)
    throw error
  }
}

/** A process that has the old file open keeps it; one that opens it now gets a whole one. */
function copyProducts() {
  const from = join('build', 'Release')
  for (const name of readdirSync(from)) {
    if (!name.endsWith('.node') && !name.startsWith('polymla-')) continue
    const fresh = join(out, `.${name}.${process.pid}`)
    copyFileSync(join(from, name), fresh)
    renameSync(fresh, join(out, name))
  }
}

/** Waits until no other live process holds the lock, then takes it. Returns what gives it back. */
async function lock(path) {
  mkdirSync(join(path, '..'), { recursive: true })
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isAbandoned(path)) rmSync(path, { force: true })
    else await sleep(200)
  }
}

function isAbandoned(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    if (pid > 0) process.kill(pid, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}
