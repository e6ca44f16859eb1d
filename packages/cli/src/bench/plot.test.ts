import { expect, test } from 'vitest'
import { plotSvg } from './plot.js'
import type { BenchRow } from './rows.js'

test('draws every case and its baseline', async () => {
  const timing = { us: 30, us_min: 29, us_max: 33, tflops: 1, gbps: 2 }
  const base = { kind: 'dense.bf16', b: 1, s_q: 1, h_q: 16, varlen: false, causal: false, ...timing } as const
  const rows: BenchRow[] = [
    { ...base, s_k: 512 },
    { ...base, s_k: 1024, us: 50, us_max: 51, baseline_us: 40, speedup: 0.8 },
  ]
  const report = { device: 'reference', date: '2025-01-01', peaks: null, rows, skipped: [] }
  const svg = await plotSvg(report)
  expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/)
  for (const text of ['s_k512', 's_k1024', 'reference', 'baseline', 'µs']) expect(svg).toContain(text)
})
