import { expect, it } from 'vitest'
import { randomNumbers } from './kernel.fixtures.js'
import { KeyTile, TILE } from './key-tile.js'
import { ROWS, RowBlock } from './row-block.js'

/** A tile of 2-wide keys. */
function tileOf(...keys: [number, number][]): KeyTile {
  const tile = new KeyTile(2)
  keys.forEach((key, i) => {
    tile.keys.set(key, 2 * i)
    tile.positions[i] = i
  })
  tile.count = keys.length
  return tile
}

function attend(q: [number, number], ...tiles: KeyTile[]): { out: number[]; lse: number; max: number } {
  const rows = new RowBlock(2, 2)
  rows.reset()
  rows.q.set(q)
  for (const tile of tiles) rows.attend(tile, 0, 1, 1)
  const out = new Float64Array(2)
  const lse = rows.result(0, out)
  return { out: [...out], lse, max: rows.maxScore(0) }
}

it('weighs keys by exp(score)', () => {
  // Scores ln 3 and 0: weights 3/4 and 1/4.
  const { out, lse, max } = attend([Math.log(3), 0], tileOf([1, 0], [0, 8]))
  expect(out[0]).toBeCloseTo(0.75, 14)
  expect(out[1]).toBeCloseTo(2, 14)
  expect(lse).toBeCloseTo(Math.log(4), 14)
  expect(max).toBe(Math.log(3))
})

it('gives the same over several tiles, whichever holds the largest score', () => {
  const whole = attend([1, 0.5], tileOf([1, 0], [40, 8], [-30, 2]))
  const rising = attend([1, 0.5], tileOf([1, 0]), tileOf([40, 8]), tileOf([-30, 2]))
  for (const d of [0, 1]) expect(rising.out[d]).toBeCloseTo(whole.out[d], 12)
  expect(rising.lse).toBeCloseTo(whole.lse, 12)
})

it('is empty, with zeros that are positive, when nothing is seen or every score is −Infinity', () => {
  const empty = { out: [0, 0], lse: Number.NEGATIVE_INFINITY, max: Number.NEGATIVE_INFINITY }
  expect(attend([1, 1])).toStrictEqual(empty)
  expect(attend([1, 1], tileOf([Number.NEGATIVE_INFINITY, 0]))).toStrictEqual(empty)
})

it('keeps NaN that a row sees, also when finite keys follow, and hides NaN that it does not see', () => {
  const seen = attend([1, 1], tileOf([Number.NaN, 0]), tileOf([1, 1]))
  expect(seen.out).toEqual([Number.NaN, Number.NaN])
  expect(seen.lse).toBeNaN()

  const rows = new RowBlock(2, 2)
  rows.reset()
  rows.q.set([1, 1, 1, 1])
  const tile = tileOf([Number.NaN, Number.NaN], [2, 3])
  rows.attend(tile, 0, 1, 1, (position) => position === 1)
  rows.attend(tile, 1, 2, 1)
  const out = new Float64Array(2)
  expect(rows.result(0, out)).toBe(5)
  expect([...out]).toEqual([2, 3])
  expect(rows.result(1, out)).toBeNaN()
})

it('computes a row to the same bits alone and among others', () => {
  const [width, valueDim] = [32, 16]
  const tile = new KeyTile(width)
  tile.keys.set(randomNumbers(1, TILE * width))
  tile.count = 61
  const together = new RowBlock(width, valueDim)
  together.reset()
  together.q.set(randomNumbers(2, ROWS * width))
  together.attend(tile, 0, 7, 0.3)
  for (let row = 0; row < 7; row++) {
    const alone = new RowBlock(width, valueDim)
    alone.reset()
    alone.q.set(together.q)
    alone.attend(tile, row, row + 1, 0.3)
    const [a, b] = [new Float64Array(valueDim), new Float64Array(valueDim)]
    expect(alone.result(row, a)).toBe(together.result(row, b))
    expect(a).toEqual(b)
  }
})
