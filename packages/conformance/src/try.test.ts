import { test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { reference } from '@polymla/backend-reference'
import { listCases, runConformance } from './run-conformance.js'
test('try', async () => {
  for (const g of ['smoke','standard','full'] as const) { const n = listCases(g); console.log(g, n.length, new Set(n).size) }
  const r = await runConformance({ backend: reference(), grid: (process.env.GRID ?? 'smoke') as 'smoke', ...(process.env.FILTER?{filter:process.env.FILTER}:{}), seed: Number(process.env.SEED??0) })
  writeFileSync('/tmp/report.json', JSON.stringify(r))
}, 1200000)
