// merge-shards.mjs TARGET REPORT…: conformance reports of shards (or merged ones, of parts) into one per device:
// TARGET-cpu.json, TARGET-cuda-0.json. Prints for each the counts, what failed, why cases were skipped and what took
// longest. Fails when a case failed, a report is missing or a device passed nothing.

import { readFileSync, writeFileSync } from 'node:fs'

const [target, ...paths] = process.argv.slice(2)
const byDevice = new Map()
let missing = 0
for (const path of paths) {
  let reports
  try {
    reports = [JSON.parse(readFileSync(path, 'utf8'))].flat()
  } catch {
    console.log(`${path}: no report`)
    missing++
    continue
  }
  for (const report of reports)
    byDevice.set(report.device.id, [...(byDevice.get(report.device.id) ?? []), report])
}
for (const [id, reports] of byDevice) {
  const merged = merge(reports)
  writeFileSync(`${target}-${id.replaceAll(':', '-')}.json`, JSON.stringify(merged))
  print(merged)
  if (merged.failed > 0 || merged.passed === 0) process.exitCode = 1
}
if (missing > 0 || byDevice.size === 0) process.exitCode = 1

function merge(reports) {
  const cases = reports.flatMap((report) => report.cases)
  const count = (status) => cases.filter((found) => found.status === status).length
  const reasons = new Map()
  for (const { status, message } of cases) {
    if (status === 'skipped') reasons.set(message, (reasons.get(message) ?? 0) + 1)
  }
  return {
    ...reports[0],
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    skipReasons: [...reasons].map(([reason, cases]) => ({ reason, cases })).sort((a, b) => b.cases - a.cases),
    milliseconds: reports.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    // Comparisons of cases that passed would make most of the file.
    cases: cases.map(({ comparisons, ...found }) =>
      found.status === 'failed' ? { ...found, comparisons } : found,
    ),
  }
}

function print({ device, grid, passed, failed, skipped, skipReasons, milliseconds, cases }) {
  console.log(
    `${device.id} (${device.name}), ${grid}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds(milliseconds)} of all processes`,
  )
  for (const { name, message } of cases.filter(({ status }) => status === 'failed').slice(0, 20)) {
    console.log(`  failed ${name}: ${message.slice(0, 200)}`)
  }
  for (const { reason, cases } of skipReasons.slice(0, 12))
    console.log(`  skipped ${cases}: ${reason.slice(0, 120)}`)
  for (const { name, milliseconds } of cases
    .toSorted((a, b) => b.milliseconds - a.milliseconds)
    .slice(0, 3)) {
    console.log(`  slow ${name}: ${seconds(milliseconds)}`)
  }
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
