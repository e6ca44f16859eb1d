import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coded } from '../testing/open-memory.js'
import {
  checkShape,
  checkStrides,
  contiguousStrides,
  elementCount,
  elementSpan,
  isContiguous,
} from './shape.js'

const shapes = fc.array(fc.nat({ max: 5 }), { maxLength: 5 })

describe('contiguousStrides', () => {
  it('is row-major, and spans exactly the elements', () => {
    expect(contiguousStrides([2, 3, 4])).toEqual([12, 4, 1])
    expect(contiguousStrides([])).toEqual([])
    fc.assert(
      fc.property(shapes, (shape) => {
        const strides = contiguousStrides(shape)
        expect(isContiguous(shape, strides)).toBe(true)
        expect(elementSpan(shape, strides)).toBe(elementCount(shape))
      }),
    )
  })
})

describe('isContiguous', () => {
  it.each([
    [[2, 3], [3, 1], true],
    [[2, 3], [4, 1], false],
    [[1, 3], [99, 1], true],
    [[2, 1, 3], [3, 7, 1], true],
    [[0, 5, 4], [1, 9, 1], true],
    [[2, 2], [0, 1], false],
  ])('of %j with strides %j: %j', (shape, strides, expected) => {
    expect(isContiguous(shape, strides)).toBe(expected)
  })
})

describe('checkShape', () => {
  it('copies and freezes', () => {
    const given = [2, 0, 3]
    const shape = checkShape('shape', given)
    given[0] = 9
    expect(shape).toEqual([2, 0, 3])
    expect(Object.isFrozen(shape)).toBe(true)
  })

  it.each([
    ['shape', 5],
    ['shape', new Int32Array(2)],
    ['shape[1]', [1, -1]],
    ['shape[0]', [1.5]],
    ['shape[0]', new Array(1)],
    ['shape', [2 ** 30, 2 ** 30]],
    ['shape', [0, 2 ** 30, 2 ** 30]],
  ])('refuses %s of %o', (path, shape) => {
    expect(() => checkShape('shape', shape as number[])).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })
})

describe('checkStrides', () => {
  it.each([
    ['strides', [2, 2], [1]],
    ['strides', [2, 2], 'no'],
    ['strides[1]', [2, 2], [2, 2]],
    ['strides[0]', [2, 2], [-2, 1]],
    ['strides[0]', [2, 2], [0.5, 1]],
  ])('refuses %s for %j: %j', (path, shape, strides) => {
    expect(() => checkStrides(shape, strides as number[])).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })
})
