// check-kernels.mjs [BUILD]: what ptxas said of each kernel in the logs beside the objects of a build (default: build).
// Prints registers per kernel; fails for a kernel with spills, local memory or serialised wgmma, and when there is none.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const build = process.argv[2] ?? 'build'
const logs = readdirSync(build, { recursive: true }).filter((path) => path.endsWith('.cu.o.log'))
let kernels = 0
let wrong = 0

/** The innermost name of a mangled one with its template arguments, such as `fewRowsDecode I13__nv_bfloat16Li16E`. */
function shortName(mangled) {
  let rest = mangled.replace(/^_ZN?/, '')
  let name = mangled
  for (let length = rest.match(/^\d+/)?.[0]; length; length = rest.match(/^\d+/)?.[0]) {
    const begin = length.length
    name = rest.slice(begin, begin + Number(length))
    rest = rest.slice(begin + Number(length))
  }
  return `${name} ${rest.match(/^I.*?E(?=[EvR])/)?.[0] ?? ''}`.trimEnd()
}

function fail(kernel, why) {
  console.error(`${kernel}: ${why}`)
  wrong++
}

for (const path of logs) {
  const text = readFileSync(join(build, path), 'utf8')
  for (const [code] of new Set(text.matchAll(/C75\d\d[^\n]*/g))) fail(path, code)
  const [, ...parts] = text.split(/Compiling entry function '/)
  for (const part of parts) {
    const kernel = shortName(part.slice(0, part.indexOf("'")))
    const [, ...bytes] =
      part.match(/(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/) ?? []
    const registers = part.match(/Used (\d+) registers/)?.[1]
    if (registers === undefined || bytes.length === 0) fail(kernel, 'its log has no figures')
    else if (bytes.some((count) => Number(count) > 0))
      fail(kernel, `stack ${bytes[0]}, spilled ${bytes[1]} and ${bytes[2]} bytes`)
    console.log(`${String(registers).padStart(4)} registers  ${kernel}`)
    kernels++
  }
}
if (kernels === 0) fail(build, 'no kernel was compiled here')
process.exitCode = wrong > 0 ? 1 : 0
