import { expect, test } from 'vitest'
import { grid, product } from './grids.js'
import { caseKey, caseLabel } from './rows.js'

test('rows of the same case have the same key, whatever was measured', () => {
  const [row] = product([128], [2], [4096], [64], 'dense.bf16', { varlen: true, causal: true })
  expect(caseKey({ us: 3, ...row, driver: 'x' })).toBe(caseKey(row))
  expect(caseKey({ ...row, causal: false })).not.toBe(caseKey(row))
  expect(caseLabel(row)).toBe('dense.bf16 b128 s_q2 s_k4096 h_q64 varlen causal')
})

test('a missing field is the same as null', () => {
  const sparse = grid('sparse-h200', 'dense.bf16')[0]
  const { extra_topk: _, ...without } = sparse as typeof sparse & { extra_topk: null }
  expect(caseKey(without)).toBe(caseKey(sparse))
  expect(caseLabel(sparse)).toBe('sparse_decode.fp8 b2 s_q2 s_kv32768 topk2048 h_q128 d_qk576')
})

test('no grid has a case twice', () => {
  for (const name of ['smoke', 'cpu', 'dense-h200', 'sparse-h200', 'prefill-h200'] as const) {
    const keys = grid(name, 'dense.fp8').map(caseKey)
    expect(new Set(keys).size).toBe(keys.length)
  }
  expect(grid('dense-h200', 'dense.fp8')).toHaveLength(64)
  expect(grid('dense-h200', 'dense.fp8').every(({ kind }) => kind === 'dense.fp8')).toBe(true)
})
