// record-builds.mjs BUILD…: what compilers have made of the portable kernels, read from folders that CMake and ninja built in
// (check-dialects.sh leaves them in build/dialects), into port-status/builds.json: a kernel counts when its object is there and no
// older than any file that it was made of. Entries of libraries that no folder has stay as they are. scripts/port-status.mjs makes
// the table of docs/vendors.md of it.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { librarySources } from './library-sources.mjs'

const FILE = fileURLToPath(new URL('../port-status/builds.json', import.meta.url))

/** Matrix units, each with what shows in code that uses it. */
const SIGNS = {
  'MACA 16×16×16': '__builtin_mxc_mma_16x16x16',
  MFMA: 'v_mfma_f32_',
  MMAC: 'v_mmac_f32_',
  SQMMA: '__musa_sqmma_m',
  'WMMA of MP 3.1': '__musa_wmma_m',
}

const found = new Map(JSON.parse(readFileSync(FILE, 'utf8')).map((build) => [build.library, build]))
for (const folder of process.argv.slice(2)) {
  for (const build of buildsIn(resolve(folder))) found.set(build.library, build)
}
const all = [...found.values()].toSorted((a, b) => a.library.localeCompare(b.library))
writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`)
for (const { library, compiler, architectures, kernels } of all)
  console.log(`${library}: ${compiler} for ${architectures.join(', ')}: ${kernels.join(', ')}`)

function buildsIn(folder) {
  const commands = JSON.parse(execFileSync('ninja', ['-C', folder, '-t', 'compdb'], { maxBuffer: 2 ** 28 }))
  return [...byLibrary(commands.filter(isKernel))].flatMap(([library, edges]) => {
    const made = edges.filter((edge) => isMade(folder, edge))
    if (made.length === 0) return []
    const { command } = made[0]
    return {
      library,
      dialect: /-DPMLA_DIALECT_(\w+)/.exec(command)[1],
      compiler: compilerOf(command),
      // Another compiler in the vendor's place, with headers of ours in place of the vendor's.
      standIn: command.includes('/stand-ins/'),
      architectures: [
        ...new Set(
          [...command.matchAll(/code=sm_(\w+)|--offload-arch=([\w:+-]+)|--cuda-gpu-arch=(\w+)/g)].map(
            ([, cuda, offload, clang]) => (cuda ? `sm_${cuda}` : (offload ?? clang)),
          ),
        ),
      ],
      units: unitsIn(folder, made),
      kernels: made.map(({ output }) => basename(output, '.cu.o')).toSorted(),
      missing: edges
        .filter((edge) => !made.includes(edge))
        .map(({ output }) => basename(output, '.cu.o'))
        .toSorted(),
      // As they are now: what is older than they are does not count as made.
      sources: librarySources(),
      date: new Date(Math.max(...made.map(({ output }) => statSync(resolve(folder, output)).mtimeMs)))
        .toISOString()
        .slice(0, 10),
    }
  })
}

function byLibrary(edges) {
  const groups = new Map()
  for (const edge of edges) {
    const library = basename(dirname(edge.output))
    groups.set(library, [...(groups.get(library) ?? []), edge])
  }
  return groups
}

function isKernel({ output = '', command }) {
  return output.endsWith('.cu.o') && /-DPMLA_DIALECT_(?!EMULATED)/.test(command)
}

function isMade(folder, { output }) {
  const object = resolve(folder, output)
  if (![object, `${object}.d`].every(existsSync)) return false
  // As makefiles have it: an object, a colon, files, with backslashes before the ends of lines.
  const files = readFileSync(`${object}.d`, 'utf8')
    .replace(/^.*?:\s/, '')
    .split(/[\s\\]+/)
    .filter(Boolean)
  const made = statSync(object).mtimeMs
  return files.every(
    (path) => existsSync(resolve(folder, path)) && statSync(resolve(folder, path)).mtimeMs <= made,
  )
}

/** Which matrix units there is code for: by the instructions and builtins in it, where it is text or can be made text. */
function unitsIn(folder, edges) {
  const found = new Set()
  for (const { output, command } of edges) {
    // Inline assembler, unconditionally; what is made of it is not for reading.
    if (command.includes('-DPMLA_DIALECT_CUDA') && output.includes('attend-')) found.add('mma.sync')
    const text = textOf(resolve(folder, output), command)
    for (const [unit, sign] of Object.entries(SIGNS)) if (text.includes(sign)) found.add(unit)
  }
  return [...found].toSorted()
}

function textOf(object, command) {
  if (!command.includes('HIP_PLATFORM=amd')) return readFileSync(object, 'latin1')
  const work = mkdtempSync(join(tmpdir(), 'polymla-units-'))
  try {
    // Of a host's object, the section with all architectures' code.
    const all = join(work, 'all')
    execFileSync('objcopy', ['--dump-section', `.hip_fatbin=${all}`, object, '/dev/null'], { stdio: 'pipe' })
    if (!existsSync(all)) return '' // no kernel
    return [...command.matchAll(/--offload-arch=([\w:+-]+)/g)]
      .map(([, arch]) => {
        const code = join(work, arch)
        const target = `hipv4-amdgcn-amd-amdhsa--${arch}`
        const options = [
          '--type=o',
          '--unbundle',
          `--input=${all}`,
          `--output=${code}`,
          `--targets=${target}`,
        ]
        execFileSync('clang-offload-bundler-15', options)
        return execFileSync('llvm-objdump-15', ['-d', code], { encoding: 'latin1', maxBuffer: 2 ** 30 })
      })
      .join('')
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** `nvcc 13.0`, `hipcc 5.2`, `clang 19.1 in place of mcc`. */
function compilerOf(command) {
  const words = command.split(' ')
  const path = words.find((word) => /(nvcc|hipcc|mcc|mxcc|clang\+\+[\d-]*)$/.test(word))
  const platform = words.includes('HIP_PLATFORM=amd') ? { HIP_PLATFORM: 'amd' } : {}
  const said = execFileSync(path, ['--version'], {
    encoding: 'utf8',
    env: { ...process.env, ...platform },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const version = /release (\d+\.\d+)|HIP version: (\d+\.\d+)|version (\d+\.\d+)/.exec(said)
  const number = version?.slice(1).find(Boolean) ?? '(version unknown)'
  const inPlaceOf = /in place of (.*)/.exec(said)?.[1]
  if (inPlaceOf === undefined) return `${basename(path).replace(/\+\+.*/, '')} ${number}`
  return `${said.startsWith('HIP') ? 'hipcc' : 'clang'} ${number} in place of ${inPlaceOf}`
}
