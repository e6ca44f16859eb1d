// record-run.mjs REPORT… : reports of `polymla conformance --json` on devices of the portable kernels, as they are kept in
// port-status/runs: the counts of every op, without the cases. A report with a failure is not kept.
//
// --as VENDOR says whose device it was, where its id is that of a plugin: --as cuda REPORT. --driver TEXT is kept beside it.
// --commit COMMIT says what the library was built from, where that is not what lies here.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { librarySources } from './library-sources.mjs'

const OP_OF = {
  dense: 'decode',
  invariant: 'decode',
  sparse: 'sparseDecode',
  prefill: 'sparsePrefill',
  append: 'appendKv',
  merge: 'mergeStates',
  copy: 'copyPages',
}

const text = { type: 'string' }
const { values, positionals } = parseArgs({
  options: { as: text, driver: text, commit: text },
  allowPositionals: true,
})
const sources = librarySources(values.commit)
for (const path of positionals) {
  const report = JSON.parse(readFileSync(path, 'utf8'))
  const { device, grid, seed, passed, failed, skipped } = report
  if (failed > 0 || passed === 0) throw new Error(`${path}: ${passed} passed, ${failed} failed`)
  const ops = {}
  for (const { name, status } of report.cases) {
    const op = OP_OF[name.split('/')[0]]
    if (op === undefined) continue
    ops[op] ??= { passed: 0, failed: 0, skipped: 0 }
    ops[op][status]++
  }
  const vendor = values.as ?? device.id.split(':')[0]
  const file = fileURLToPath(
    new URL(`../port-status/runs/${vendor}-${device.arch}-${grid}.json`, import.meta.url),
  )
  const date = (report.date ?? new Date().toISOString()).slice(0, 10)
  const kept = {
    vendor,
    device: device.id,
    name: device.name,
    arch: device.arch,
    driver: values.driver ?? device.driver ?? null,
  }
  writeFileSync(
    file,
    `${JSON.stringify({ ...kept, grid, seed, date, sources, passed, failed, skipped, ops }, null, 2)}\n`,
  )
  console.log(file)
}
