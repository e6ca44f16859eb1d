// record-builds.mjs BUILD…: what compilers have made of the portable kernels, read from folders that CMake and ninja built in, into
// port-status/builds.json: a kernel counts when its object is there and no older than its source. Entries of libraries that no
// folder has stay as they are. scripts/port-status.mjs makes the table of docs/vendors.md of it.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const FILE = fileURLToPath(new URL('../port-status/builds.json', import.meta.url))

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
      // Headers of ours in place of a vendor's runtime, and so a compiler that is not the vendor's.
      stubs: command.includes('test/stubs/'),
      architectures: [
        ...new Set(
          [...command.matchAll(/code=sm_(\w+)|--offload-arch=([\w:+-]+)|--cuda-gpu-arch=(\w+)/g)].map(
            ([, cuda, offload, clang]) => (cuda ? `sm_${cuda}` : (offload ?? clang)),
          ),
        ),
      ],
      kernels: made.map(({ output }) => basename(output, '.cu.o')).toSorted(),
      missing: edges
        .filter((edge) => !made.includes(edge))
        .map(({ output }) => basename(output, '.cu.o'))
        .toSorted(),
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

function isMade(folder, { output, file }) {
  const [object, source] = [resolve(folder, output), resolve(folder, file)]
  return existsSync(object) && existsSync(source) && statSync(object).mtimeMs >= statSync(source).mtimeMs
}

/** `nvcc 13.0`, `hipcc 5.2`, `clang 19.1`. */
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
  return `${basename(path).replace(/\+\+.*/, '')} ${version?.slice(1).find(Boolean) ?? '(version unknown)'}`
}
