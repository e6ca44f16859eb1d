import { expect, test } from 'vitest'
import { efficiency } from './efficiency.js'

const peaks = {
  readBytesPerSecond: 1e9,
  f32FlopsPerSecond: 1e12,
  bf16FlopsPerSecond: 4e12,
  f16FlopsPerSecond: 2e12,
}

test('is the time of the slower resource at its peak, as a fraction of the time taken', () => {
  expect(efficiency({ flop: 8e6, bytes: 1e3 }, 'dense.bf16', peaks, 4)).toEqual({
    bound: 'compute',
    of_peak: 0.5,
  })
  expect(efficiency({ flop: 8e6, bytes: 1e4 }, 'dense.bf16', peaks, 40)).toEqual({
    bound: 'memory',
    of_peak: 0.25,
  })
})

test.each([
  ['dense.f32', 0.8],
  ['dense.fp16', 0.4],
  ['dense.fp8', 0.2],
  ['sparse_decode.fp8', 0.2],
  ['sparse_prefill.bf16', 0.2],
] as const)('%s is held against the unit that multiplies it', (kind, of_peak) => {
  expect(efficiency({ flop: 8e6, bytes: 0 }, kind, peaks, 10)).toEqual({ bound: 'compute', of_peak })
})

test('is unknown where the device did not measure', () => {
  expect(efficiency({ flop: 1, bytes: 1 }, 'dense.bf16', null, 1)).toBeNull()
  expect(efficiency({ flop: 1, bytes: 1 }, 'dense.bf16', { ...peaks, bf16FlopsPerSecond: 0 }, 1)).toBeNull()
})
