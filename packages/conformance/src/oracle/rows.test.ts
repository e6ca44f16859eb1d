import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Random } from '../random.js'
import { chooseRows } from './rows.js'

const GRID = { batch: 5, queryTokens: 3, heads: 7, cost: () => 10 }
const key = ({ request, token, head }: { request: number; token: number; head: number }) =>
  (request * GRID.queryTokens + token) * GRID.heads + head

test('every row where all are affordable', () => {
  expect(chooseRows(GRID, 5 * 21 * 10, new Random(1)).map(key)).toEqual([...Array(105).keys()])
})

test('the first and the last row of every request, in order, and no more than the budget', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 1040 }), fc.integer(), (budget, seed) => {
      const rows = chooseRows(GRID, budget, new Random(seed)).map(key)
      for (let request = 0; request < 5; request++) {
        expect(rows).toContain(request * 21)
        expect(rows).toContain(request * 21 + 20)
      }
      expect(rows).toEqual([...rows].sort((a, b) => a - b))
      expect(rows.length * 10).toBeLessThanOrEqual(budget)
    }),
  )
})

test('one row of every request where two are too many', () => {
  const rows = chooseRows(GRID, 1, new Random(1))
  expect(rows.map(({ request }) => request)).toEqual([0, 1, 2, 3, 4])
  expect(rows.slice(0, 2)).toEqual([
    { request: 0, token: 0, head: 0 },
    { request: 1, token: 2, head: 6 },
  ])
})
