// merge-shards.mjs TARGET REPORT…: one conformance report of those of its shards. Prints the counts, what failed, why cases
// were skipped and what took longest; fails when a case failed, a report is missing or nothing passed.

import { readFileSync, writeFileSync } from 'node:fs'

const [target, ...paths] = process.argv.slice(2)
const reports = paths.flatMap((path) => {
  try {
    return [JSON.parse(readFileSync(path, 'utf8'))]
  } catch {
    console.log(`${path}: no report`)
    return []
  }
})
const cases = reports.flatMap((report) => report.cases)
const count = (status) => cases.filter((found) => found.status === status).length
const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(count)
const reasons = new Map()
for (const { status, message } of cases) {
  if (status === 'skipped') reasons.set(message, (reasons.get(message) ?? 0) + 1)
}
const skipReasons = [...reasons].map(([reason, count]) => ({ reason, cases: count }))
skipReasons.sort((a, b) => b.cases - a.cases)
const milliseconds = Math.max(0, ...reports.map((report) => report.milliseconds))
// Comparisons of cases that passed would make most of the file.
const kept = cases.map(({ comparisons, ...found }) =>
  found.status === 'failed' ? { ...found, comparisons } : found,
)
writeFileSync(
  target,
  JSON.stringify({ ...reports[0], milliseconds, passed, failed, skipped, skipReasons, cases: kept }),
)

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped in ${(milliseconds / 1000).toFixed(1)} s`)
for (const { name, message } of cases.filter(({ status }) => status === 'failed').slice(0, 20)) {
  console.log(`failed ${name}: ${message.slice(0, 200)}`)
}
for (const { reason, cases } of skipReasons.slice(0, 12))
  console.log(`skipped ${cases}: ${reason.slice(0, 120)}`)
const slowest = cases.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, 3)
for (const { name, milliseconds } of slowest)
  console.log(`slow ${name}: ${(milliseconds / 1000).toFixed(1)} s`)
process.exitCode = failed > 0 || passed === 0 || reports.length < paths.length ? 1 : 0
