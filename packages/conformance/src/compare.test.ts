import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compare, compareBits, compareNorm, indexIn } from './compare.js'

const LOOSE = { absolute: 0.01, relative: 0.1 }

describe('compare', () => {
  test('an element passes within its absolute or its relative bound', () => {
    expect(compare('x', [1, 100], [1.005, 109], LOOSE).passed).toBe(true)
    expect(compare('x', [0.001], [0.005], LOOSE).passed).toBe(true)
    expect(compare('x', [1, 100], [1.005, 112], LOOSE).passed).toBe(false)
  })

  test('reports the worst element with its index, and how many fail', () => {
    const found = compare('out', [1, 2, 3, 4, 5, 6], [1, 3, 3, 9, 5, 6], LOOSE, indexIn([2, 3]))
    expect(found.worst).toEqual({ index: [1, 0], expected: 4, found: 9 })
    expect(found.message).toBe('out: 2 of 6 elements out of bounds, the worst at [1, 0]: expected 4, found 9')
    expect(found.maxAbsolute).toBe(5)
    expect(found.maxRelative).toBeCloseTo(1.25, 5)
  })

  test.each([
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, true],
    [Number.NaN, Number.NaN, true],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, false],
    [Number.POSITIVE_INFINITY, 1e38, false],
    [Number.NaN, 0, false],
    [0, Number.NaN, false],
    [1, Number.NEGATIVE_INFINITY, false],
  ])('expected %d and found %d coincide: %s', (expected, found, passed) => {
    expect(compare('x', [1, expected], [1, found], LOOSE).passed).toBe(passed)
  })

  test('the cosine bound catches errors that each element may have', () => {
    const tolerance = { absolute: 1, relative: 1, cosine: 1e-3 }
    const found = compare('x', [0.1, 0.1], [0.1, -0.1], tolerance)
    expect(found.passed).toBe(false)
    expect(found.message).toBe('x: cosine difference 1.00e+0, expected less than 0.001')
  })

  test('slack adds to the bounds of its element alone', () => {
    expect(compare('x', [1, 1], [1.3, 1], LOOSE, undefined, [0.25, 0]).passed).toBe(true)
    expect(compare('x', [1, 1], [1, 1.3], LOOSE, undefined, [0.25, 0]).passed).toBe(false)
  })

  test('nothing to compare passes', () => {
    expect(compare('x', [], [], LOOSE)).toMatchObject({ passed: true, elements: 0, worst: null })
  })

  test('its report survives JSON for any numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.float(), fc.float()), { maxLength: 5 }), (pairs) => {
        const [expected, found] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)]
        const report = compare('x', expected, found, LOOSE)
        expect(JSON.parse(JSON.stringify(report))).toEqual(jsonZero(report))
      }),
    )
  })
})

/** JSON has no −0. */
const jsonZero = <T>(value: T): T =>
  JSON.parse(
    JSON.stringify(value, (_, v) => (typeof v === 'number' && !Number.isFinite(v) ? `not JSON: ${v}` : v)),
  )

test('compareNorm bounds the whole', () => {
  expect(compareNorm('x', [3, 4], [3, 4.05], 0.011).passed).toBe(true)
  expect(compareNorm('x', [3, 4], [3, 4.06], 0.011).message).toBe(
    'x: relative 2-norm of the error 1.20e-2, expected at most 0.011',
  )
  expect(compareNorm('x', [Number.NaN], [1], 1).passed).toBe(false)
})

test('compareBits tells the first element that differs', () => {
  expect(compareBits('x', [1, 2, 3], [1, 2, 3]).passed).toBe(true)
  expect(compareBits('x', [1, 2, 3, 4], [1, 5, 3, 5], indexIn([2, 2]))).toMatchObject({
    passed: false,
    message: 'x: 2 of 4 elements differ in their bits, the first at [0, 1]: expected 2, found 5',
  })
  expect(compareBits('x', [1], [1, 2]).message).toBe(
    'x: 1 of 1 elements differ in their bits, expected 1, found 2 of them',
  )
})
