import { expect, test } from 'vitest'
import { lengths } from './dense.js'
import { grid } from './grids.js'
import { PythonRandom } from './python-random.js'
import type { DenseCase } from './rows.js'

test('draws the lengths of measurements made from Python, by the seed alone', () => {
  const varlen = grid('dense-h200', 'dense.bf16').filter(
    (row): row is DenseCase => 's_k' in row && row.varlen,
  )
  const sums = varlen.slice(0, 4).map((row) => lengths(row, new PythonRandom(0)).reduce((a, b) => a + b, 0))
  expect(sums).toEqual([526961, 1053982, 2108018, 4216080])
})

test('fixed lengths are s_k', () => {
  const [row] = grid('smoke', 'dense.bf16') as DenseCase[]
  expect(lengths(row, new PythonRandom(0))).toEqual(new Int32Array(row.b).fill(row.s_k))
})
