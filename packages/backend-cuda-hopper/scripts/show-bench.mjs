// show-bench.mjs REPORT: a line per row of what `bench --json` wrote: shape, µs, TFLOP/s, GB/s, ratio to the better baseline.

import { readFileSync } from 'node:fs'

const {
  device,
  driver,
  peaks,
  rows,
  groups = [],
  calls = [],
  skipped,
} = JSON.parse(readFileSync(process.argv[2], 'utf8'))
console.log(device, driver ?? '', peaks ? JSON.stringify(peaks) : '')
const shown = rows.map((row) => {
  const { kind, b, s_q, s_k, h_q, varlen, us, us_min, us_max, tflops, gbps, speedup } = row
  const dense = `b${b} q${s_q} k${s_k}${varlen ? 'v' : ''} h${h_q}`
  const op = ['tokens', 'parts', 'rows'].map((field) => (row[field] ? `${field}${row[field]}` : '')).join(' ')
  const shape = `${kind} ${b === undefined ? op : dense}`
  return `${shape.padEnd(34)} ${us} (${us_min}-${us_max}) ${tflops.toFixed(1)}TF ${Math.round(gbps)}GB/s ${speedup ?? ''}`
})
// Two a line where there are many.
const half = shown.length > 24 ? Math.ceil(shown.length / 2) : shown.length
for (let i = 0; i < half; i++) console.log(`${shown[i].padEnd(84)}${shown[i + half] ?? ''}`.trimEnd())
for (const { name, rows, geomean, least } of groups)
  console.log(`${name}: ${rows} rows, geomean ${geomean}, least ${least}`)
for (const { kind, us, us_min, us_max, layers, b, s_k, h_q } of calls) {
  const shape = layers ? `${layers} layers b${b} k${s_k} h${h_q}` : ''
  console.log(
    `${kind} ${shape} ${us} (${us_min}-${us_max})${layers ? `, ${(us / layers).toFixed(2)} a layer` : ''}`,
  )
}
for (const { b, s_q, s_k, h_q, reason } of skipped)
  console.log(`skipped b${b} q${s_q} k${s_k} h${h_q}: ${reason}`)
