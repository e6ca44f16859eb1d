import { describe, expect, it } from 'vitest'
import { type FlashMlaShape, flashMlaPartitions } from './partitions.js'

describe('flashMlaPartitions', () => {
  it.each([
    [{ queryTokens: 1, heads: 128 }, 66],
    [{ queryTokens: 1, heads: 64 }, 132],
    [{ queryTokens: 1, heads: 1 }, 132],
    [{ queryTokens: 2, heads: 128 }, 33],
    [{ queryTokens: 3, heads: 43 }, 44],
    [{ queryTokens: 1, heads: 128, headsKv: 8 }, 16],
    [{ queryTokens: 1000, heads: 128 }, 1],
  ])('decode of %j on 132 multiprocessors: %i', (shape, partitions) => {
    expect(flashMlaPartitions({ op: 'decode', multiprocessors: 132, ...shape })).toBe(partitions)
  })

  it.each([
    [{ queryTokens: 1, heads: 128 }, 66],
    [{ queryTokens: 1, heads: 64 }, 132],
    [{ queryTokens: 3, heads: 64 }, 44],
    [{ queryTokens: 2, heads: 16 }, 66],
    [{ queryTokens: 1000, heads: 128 }, 1],
  ])('sparse decode of %j on 132 multiprocessors: %i', (shape, partitions) => {
    expect(flashMlaPartitions({ op: 'sparseDecode', multiprocessors: 132, ...shape })).toBe(partitions)
  })

  it.each([
    ['op', { op: 'prefill' }],
    ['multiprocessors', { multiprocessors: 0 }],
    ['queryTokens', { queryTokens: 0 }],
    ['heads', { heads: 0 }],
    ['heads', { heads: 3, headsKv: 2 }],
    ['headsKv', { headsKv: 0 }],
    ['headsKv', { op: 'sparseDecode', headsKv: 2 }],
  ])('refuses a bad %s: %j', (path, change) => {
    const shape = {
      op: 'decode',
      multiprocessors: 132,
      queryTokens: 1,
      heads: 64,
      ...change,
    } as FlashMlaShape
    expect(() => flashMlaPartitions(shape)).toThrow(
      expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path }),
    )
  })
})
