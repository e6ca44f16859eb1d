import { describe, expect, it } from 'vitest'
import { measureLoad } from './cost-model.js'

describe('measureLoad', () => {
  it('counts pages, at least one per request, of the batch alone', () => {
    const lengths = new Int32Array([0, 1, 64, 65, 640])
    expect(measureLoad(lengths, 4, 64)).toEqual({ batch: 4, totalPages: 5, maxPages: 2 })
    expect(measureLoad(lengths, 0, 64)).toEqual({ batch: 0, totalPages: 0, maxPages: 0 })
  })

  it('sums past int32', () => {
    const lengths = new Int32Array(20_000).fill(2 ** 31 - 1)
    expect(measureLoad(lengths, 20_000, 1)).toEqual({
      batch: 20_000,
      totalPages: 20_000 * (2 ** 31 - 1),
      maxPages: 2 ** 31 - 1,
    })
  })

  it.each([
    ['lengths[1]', [1, -1], 2, 64],
    ['lengths', [1], 2, 64],
    ['batch', [1], -1, 64],
    ['pageSize', [1], 1, 0],
  ])('refuses a bad %s', (path, lengths, batch, pageSize) => {
    expect(() => measureLoad(Int32Array.from(lengths), batch, pageSize)).toThrow(
      expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path }),
    )
  })
})
