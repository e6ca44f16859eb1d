import { expect, test } from 'vitest'
import { PythonRandom } from './python-random.js'

test('gives the numbers of CPython', () => {
  const zero = new PythonRandom(0)
  expect([zero.random(), zero.random()]).toEqual([0.8444218515250481, 0.7579544029403025])

  const seven = new PythonRandom(7)
  const lengths = Array.from({ length: 5 }, () => Math.trunc(seven.normal(100, 50)))
  expect(lengths).toEqual([82, 113, 104, 23, 29])
})
