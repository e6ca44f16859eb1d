import { expect, it } from 'vitest'
import { sees } from './visibility.js'

const seen = (
  mask: 'none' | 'causal' | 'tree',
  queryTokens: number,
  length: number,
  s: number,
  row?: number[],
) =>
  Array.from({ length: length + 2 }, (_, j) => j - 1).filter((j) =>
    sees({ mask, queryTokens }, length, s, row ? Int32Array.from(row) : null, j),
  )

it('shows every key without a mask, and none outside the length', () => {
  expect(seen('none', 3, 4, 0)).toEqual([0, 1, 2, 3])
  expect(seen('none', 3, 0, 0)).toEqual([])
})

it('ends the causal view of token s at length − (queryTokens − 1 − s)', () => {
  expect(seen('causal', 3, 5, 0)).toEqual([0, 1, 2])
  expect(seen('causal', 3, 5, 2)).toEqual([0, 1, 2, 3, 4])
  expect(seen('causal', 3, 1, 1)).toEqual([])
})

it('shows the prefix and the tail keys that the tree mask names', () => {
  expect(seen('tree', 3, 5, 0, [0b101])).toEqual([0, 1, 2, 4])
  expect(seen('tree', 2, 2, 0, [0])).toEqual([])
  // length < queryTokens: key 0 is bit queryTokens − length.
  expect(seen('tree', 3, 1, 0, [0b100])).toEqual([0])
  const words = [0, 1 << 31, 1]
  expect(seen('tree', 65, 65, 0, words)).toEqual([63, 64])
})
