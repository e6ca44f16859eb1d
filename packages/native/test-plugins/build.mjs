/**
 * Builds the test plugins, once per state of their sources: `node build.mjs` prints the folder they are in.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const dist = join(here, 'dist')
/** Offset of the machine in the header of an ELF file. */
const machineOffset = 18

/**
 * @returns {{ folder: string } | { reason: string }} absolute path of the folder with the plugins, or what is missing
 * here to build them. Safe to call from several processes at once.
 */
export function buildTestPlugins() {
  if (process.platform === 'win32') return { reason: 'the test plugins need a POSIX system' }
  const folder = join(dist, digestOfSources())
  if (existsSync(folder)) return { folder }
  mkdirSync(dist, { recursive: true })
  const work = mkdtempSync(join(dist, '.building-'))
  try {
    return build(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function build(work, folder) {
  const binary = join(work, 'cmake')
  for (const args of [
    ['-S', here, '-B', binary, ...generator()],
    ['--build', binary, '--parallel'],
  ]) {
    try {
      execFileSync('cmake', args, { stdio: 'pipe', encoding: 'utf8' })
    } catch (error) {
      if (error.code === 'ENOENT') return { reason: 'cmake is not installed' }
      const output = `${error.stdout}\n${error.stderr}`.trim()
      if (/unable to find a build program/.test(output))
        return { reason: 'neither make nor ninja is installed' }
      if (/No CMAKE_\w+ could be found/.test(output)) return { reason: 'no C and C++ compiler is installed' }
      throw new Error(`cmake ${args.join(' ')} failed:\n${output}`)
    }
  }
  const made = join(work, 'made')
  mkdirSync(made, { mode: 0o755 })
  for (const file of readdirSync(binary).filter((name) => name.endsWith('.so') && !name.startsWith('lib'))) {
    cpSync(join(binary, file), join(made, file))
  }
  writeFileSync(join(made, 'text.so'), 'Not a shared library.\n')
  if (process.platform === 'linux')
    writeFileSync(join(made, 'other-machine.so'), forOtherMachine(join(made, 'noop.so')))
  try {
    renameSync(made, folder)
  } catch (error) {
    // Another process was faster; what it put there is the same.
    if (!existsSync(folder)) throw error
  }
  return { folder }
}

/** The library with another machine in its header: aarch64, or x86-64 where that is what runs. */
function forOtherMachine(path) {
  const bytes = readFileSync(path)
  bytes.writeUInt16LE(bytes.readUInt16LE(machineOffset) === 183 ? 62 : 183, machineOffset)
  return bytes
}

function generator() {
  try {
    execFileSync('ninja', ['--version'], { stdio: 'ignore' })
    return ['-G', 'Ninja']
  } catch {
    return []
  }
}

function digestOfSources() {
  const files = [here, join(here, '..', 'kit')].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => /\.(c|cpp|h|map|txt|mjs)$/.test(name))
      .map((name) => join(folder, name)),
  )
  files.push(join(here, '..', 'include', 'polymla_backend.h'))
  const hash = createHash('sha256')
  for (const file of files.sort()) hash.update(file).update(readFileSync(file))
  for (const name of ['CC', 'CXX', 'CFLAGS', 'CXXFLAGS', 'LDFLAGS'])
    hash.update(`${name}=${process.env[name]}`)
  return `${process.platform}-${process.arch}-${hash.digest('hex').slice(0, 12)}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = buildTestPlugins()
  console.log('folder' in built ? built.folder : `not built: ${built.reason}`)
  process.exitCode = 'folder' in built ? 0 : 1
}
