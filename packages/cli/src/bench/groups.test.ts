import { expect, test } from 'vitest'
import { groupsOf } from './groups.js'
import type { BenchRow } from './rows.js'

const row = (b: number, s_q: number, h_q: number, speedup?: number): BenchRow => ({
  ...{ kind: 'dense.bf16', b, s_q, s_k: 64, h_q, varlen: false, causal: false },
  ...{ us: 1, us_min: 1, us_max: 1, tflops: 1, gbps: 1 },
  ...(speedup !== undefined && { baseline_us: speedup, speedup }),
})

test('rows are grouped by what binds them, with the geometric mean and the least of their ratios', () => {
  const rows = [row(1, 1, 128, 4), row(16, 2, 16, 1), row(32, 4, 16, 0.9), row(32, 2, 128), row(128, 1, 64)]
  expect(groupsOf(rows)).toEqual([
    { name: 'b ≤ 16', rows: 2, geomean: 2, least: 1 },
    { name: 'b > 16, h_q·s_q ≤ 64', rows: 1, geomean: 0.9, least: 0.9 },
  ])
})

test('without baselines there are no groups', () => {
  expect(groupsOf([row(1, 1, 16)])).toEqual([])
})
