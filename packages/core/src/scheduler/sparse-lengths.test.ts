import { describe, expect, it } from 'vitest'
import { type SparseLoad, sparseLengths } from './sparse-lengths.js'

function lengthsOf(load: SparseLoad): number[] {
  const lengths = new Int32Array(load.batch).fill(-7)
  sparseLengths(load, 64, lengths)
  return Array.from(lengths)
}

describe('sparseLengths', () => {
  const topkLength = new Int32Array([0, 1, 64, 65, 128])

  it('is topk, 0 counting as 1', () => {
    expect(lengthsOf({ batch: 2, topk: 128 })).toEqual([128, 128])
    expect(lengthsOf({ batch: 2, topk: 0 })).toEqual([1, 1])
  })

  it('follows the topk lengths', () => {
    expect(lengthsOf({ batch: 5, topk: 128, topkLength })).toEqual([1, 1, 64, 65, 128])
  })

  it('puts the extra indices after whole pages', () => {
    expect(lengthsOf({ batch: 2, topk: 100, extraTopk: 10 })).toEqual([138, 138])
    const extraTopkLength = new Int32Array([0, 3, 10, 0, 7])
    expect(lengthsOf({ batch: 5, topk: 128, topkLength, extraTopk: 10, extraTopkLength })).toEqual([
      64, 67, 74, 128, 135,
    ])
  })

  it.each([
    ['batch', { batch: -1 }],
    ['topk', { topk: -1 }],
    ['topk', { topk: 2 ** 31 }],
    ['extraTopk', { extraTopk: 2 ** 31 - 64 }],
    ['extraTopk', { topk: 2 ** 31 - 1, extraTopk: 1 }],
    ['topkLength[1]', { topkLength: new Int32Array([0, 65]) }],
    ['topkLength[0]', { topkLength: new Int32Array([-1, 0]) }],
    ['topkLength', { topkLength: new Int32Array(1) }],
    ['extraTopkLength[0]', { extraTopkLength: new Int32Array([1, 0]) }],
    ['lengths', { batch: 3 }],
  ])('refuses a bad %s before anything is written, case %#', (path, change) => {
    const lengths = new Int32Array(2).fill(9)
    expect(() => sparseLengths({ batch: 2, topk: 64, ...change }, 64, lengths)).toThrow(
      expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path }),
    )
    expect(Array.from(lengths)).toEqual([9, 9])
  })

  it('refuses a bad page size', () => {
    expect(() => sparseLengths({ batch: 0, topk: 1 }, 0, new Int32Array(0))).toThrow(
      expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path: 'pageSize' }),
    )
  })
})
