// Loads a backend library, asks it for its devices and opens each, in a process that a library may crash, end or hold up
// without harm. argv: the addon, the library, a JSON array of settings. Reports on descriptor 3, a line of JSON per step;
// see probe-apart.ts. Plain JavaScript without imports from packages: it runs from the sources, a build and a bundle.

import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'

const REPORT = 3
const [addonPath, library, settings] = process.argv.slice(2)

function say(step) {
  writeSync(REPORT, `${JSON.stringify(step)}\n`)
}

/** What an error of the addon was made of. */
function failureOf(error) {
  return error.failure ?? { status: -1, nativeCode: 0, message: String(error.message), fix: '' }
}

say({ step: 'load' })
const addon = createRequire(import.meta.url)(addonPath)
addon.setErrorMaker((status, nativeCode, message, fix) =>
  Object.assign(new Error(message), { failure: { status, nativeCode, message, fix } }),
)
try {
  const infos = await addon.probe(library)
  say({ step: 'listed', infos })
  for (const [index, { status }] of infos.entries()) {
    if (status === 0) await tryOpen(index)
  }
  say({ step: 'end' })
} catch (error) {
  say({ step: 'failed', failure: failureOf(error) })
}
// A library must not get to run destructors: what they do says nothing about its devices.
process.kill(process.pid, 'SIGKILL')

async function tryOpen(index) {
  say({ step: 'open', index })
  try {
    const { handle } = await addon.open(library, index, String(index), JSON.parse(settings))
    await addon.close(handle)
  } catch (error) {
    say({ step: 'refused', index, failure: failureOf(error) })
  }
}
