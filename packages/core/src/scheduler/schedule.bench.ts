import { bench, describe } from 'vitest'
import { SCHEDULE_STRIDE } from './layout.js'
import { computeSchedule } from './schedule.js'

const PARTITIONS = 132

function varlen(batch: number): Int32Array {
  let state = 1
  return Int32Array.from({ length: batch }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % 16_384
  })
}

describe.each([1, 128, 4096, 20_000])('%i requests of 0 to 16,383 tokens, 132 partitions', (batch) => {
  const lengths = varlen(batch)
  const schedule = new Int32Array(PARTITIONS * SCHEDULE_STRIDE)
  const numSplits = new Int32Array(batch + 1)
  const params = { partitions: PARTITIONS, pageSize: 64, fixedOverhead: 5 }

  bench("FlashMLA's schedule", () => {
    computeSchedule(lengths, batch, params, schedule, numSplits)
  })

  bench('batch-invariant, splits of 16 pages', () => {
    computeSchedule(lengths, batch, { ...params, splitPages: 16 }, schedule, numSplits)
  })
})
