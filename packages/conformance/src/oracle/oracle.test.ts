import {
  appendKvProblem,
  decodeProblem,
  fromFloat32,
  kvLayout,
  mergeStatesProblem,
  readToken,
  sparseDecodeProblem,
  sparsePrefillProblem,
  writeToken,
} from '@polymla/core'
import { describe, expect, test } from 'vitest'
import { appendOracle } from './append-kv.js'
import { attend } from './attend.js'
import { type DenseInputs, denseEmptyRows, denseOracle } from './dense.js'
import { mergeOracle } from './merge-states.js'
import { sparseEmptyRows, sparseOracle } from './sparse-decode.js'
import { prefillOracle } from './sparse-prefill.js'

const WIDTH = 16
/** A vector of `WIDTH` numbers: the given ones, then zeros. */
const vector = (...numbers: number[]) => [...numbers, ...Array(WIDTH - numbers.length).fill(0)]
const E = Math.E

test('attend, by hand', () => {
  // Logits 0 and ln 3: weights 1/4 and 3/4.
  const keys = Float32Array.from([...vector(0, 4), ...vector(1, 8), ...vector(9, 9)])
  const row = attend(Float64Array.from(vector(Math.log(3))), keys, [0, 1], 2, 1)
  expect([...row.out]).toEqual([expect.closeTo(0.75, 12), expect.closeTo(7, 12)])
  expect(row.lse).toBeCloseTo(Math.log(4), 12)
  expect(row.maxLogit).toBeCloseTo(Math.log(3), 12)
})

test('attend over nothing', () => {
  const row = attend(new Float64Array(WIDTH), new Float32Array(0), [], 2, 1)
  expect(row).toEqual({
    out: new Float64Array(2),
    lse: Number.POSITIVE_INFINITY,
    maxLogit: Number.NEGATIVE_INFINITY,
  })
})

/** Keys j (1, then j, then zeros) in pages of 2 with page ids 2, 0; queries of zeros: out[1] is the mean of the j seen. */
function dense(
  change: Partial<DenseInputs> & { mask?: 'none' | 'causal' | 'tree'; queryTokens?: number },
): DenseInputs {
  const cache = kvLayout({ format: 'f32', pages: 3, pageSize: 2, headDim: WIDTH })
  const { mask = 'none', queryTokens = 1 } = change
  const problem = decodeProblem({
    maxBatch: 1,
    queryTokens,
    heads: 1,
    valueDim: WIDTH,
    cache,
    blockTableWidth: 2,
    mask,
    softmaxScale: 1,
  })
  const storage = new Float32Array(3 * 2 * WIDTH).fill(Number.NaN)
  const put = (page: number, offset: number, j: number) =>
    writeToken(cache, storage, page, offset, 0, Float64Array.from(vector(1, j)), 0)
  put(2, 0, 0)
  put(2, 1, 1)
  put(0, 0, 2)
  return {
    problem,
    batch: 1,
    q: new Float32Array(queryTokens * WIDTH),
    storage,
    lengths: Int32Array.of(3),
    blockTable: Int32Array.of(2, 0),
    width: 2,
    pages: 3,
    pageSize: 2,
    treeMask: null,
    descaleQ: 1,
    descaleK: 1,
    ...change,
    mask,
    queryTokens,
  }
}

const rowsOf = (queryTokens: number) =>
  Array.from({ length: queryTokens }, (_, token) => ({ request: 0, token, head: 0 }))

function means(inputs: DenseInputs): number[] {
  const { out, lse } = denseOracle(inputs, rowsOf(inputs.queryTokens))
  return [...lse].map((value, i) => (value === Number.POSITIVE_INFINITY ? Number.NaN : out[i * WIDTH + 1]))
}

describe('dense', () => {
  test('pages in table order, up to the length', () => {
    expect(means(dense({}))).toEqual([expect.closeTo(1, 12)])
    expect(means(dense({ lengths: Int32Array.of(2) }))).toEqual([expect.closeTo(0.5, 12)])
  })

  test('causal: token s sees j < length − (queryTokens − 1 − s)', () => {
    const found = means(dense({ mask: 'causal', queryTokens: 4 }))
    expect(found).toEqual([Number.NaN, 0, expect.closeTo(0.5, 12), expect.closeTo(1, 12)])
  })

  test('tree: the prefix, and of the tail the bits that are set', () => {
    const treeMask = Int32Array.of(0b01, 0b10)
    expect(means(dense({ mask: 'tree', queryTokens: 2, treeMask }))).toEqual(
      [0.5, 1].map((v) => expect.closeTo(v, 12)),
    )
  })

  test('a page outside the cache is invisible', () => {
    expect(means(dense({ blockTable: Int32Array.of(-1, 0) }))).toEqual([expect.closeTo(2, 12)])
    expect(means(dense({ blockTable: Int32Array.of(2, 3) }))).toEqual([expect.closeTo(0.5, 12)])
  })

  test('which rows see nothing', () => {
    expect([...denseEmptyRows(dense({ mask: 'causal', queryTokens: 4 }))]).toEqual([1, 0, 0, 0])
    expect([...denseEmptyRows(dense({ blockTable: Int32Array.of(7, -1) }))]).toEqual([1])
  })
})

test('sparse decode: duplicates count twice, invalid indices not at all, the sink takes its part', () => {
  const cache = kvLayout({ format: 'f32', pages: 2, pageSize: 2, headDim: WIDTH })
  const storage = new Float32Array(4 * WIDTH).fill(Number.NaN)
  for (const [token, j] of [
    [1, 3],
    [2, 9],
  ]) {
    writeToken(cache, storage, token >> 1, token & 1, 0, Float64Array.from(vector(1, j)), 0)
  }
  const keys = { layout: cache, storage, topk: 5, topkLength: Int32Array.of(4) }
  const inputs = {
    problem: sparseDecodeProblem({
      maxBatch: 1,
      heads: 1,
      valueDim: WIDTH,
      dtype: 'f32',
      cache,
      topk: 5,
      topkLength: true,
      sink: true,
      softmaxScale: 1,
    }),
    batch: 1,
    q: new Float32Array(WIDTH),
    main: { ...keys, indices: Int32Array.of(1, 1, 2, -1, 0) },
    extra: null,
    sink: Float32Array.of(Math.log(3)),
    descaleK: 1,
  }
  const { out, lse } = sparseOracle(inputs, rowsOf(1))
  // The mean of 3, 3 and 9 is 5; sum of weights 3, sink as much again.
  expect(out[1]).toBeCloseTo(2.5, 6)
  expect(lse[0]).toBeCloseTo(Math.log(3), 12)
  expect([...sparseEmptyRows(inputs)]).toEqual([0])

  const none = { ...inputs, main: { ...keys, indices: Int32Array.of(4, -1, -5, 99, 1) } }
  expect(sparseOracle(none, rowsOf(1)).lse[0]).toBe(Number.POSITIVE_INFINITY)
  expect([...sparseEmptyRows(none)]).toEqual([1])
  const both = { ...none, extra: { ...keys, indices: Int32Array.of(2, -1, -1, -1, 1) } }
  expect(sparseOracle(both, rowsOf(1)).out[1]).toBeCloseTo(9 / 4, 6)
  expect([...sparseEmptyRows(both)]).toEqual([0])
})

test('sparse prefill: max logits are scaled, −Infinity for a row without keys', () => {
  const problem = sparsePrefillProblem({
    queryTokens: 2,
    heads: 1,
    keys: 2,
    headDim: WIDTH,
    valueDim: WIDTH,
    dtype: 'f32',
    topk: 2,
    softmaxScale: 0.5,
  })
  const q = Float32Array.from([...vector(2), ...vector(2)])
  const kv = Float32Array.from([...vector(1, 10), ...vector(0, 20)])
  const inputs = { problem, q, kv, indices: Int32Array.of(0, 1, 2, -1), topkLength: null, sink: null }
  const rows = [0, 1].map((request) => ({ request, token: 0, head: 0 }))
  const { out, lse, maxLogits } = prefillOracle(inputs, rows)
  expect([...maxLogits]).toEqual([1, Number.NEGATIVE_INFINITY])
  expect(lse[0]).toBeCloseTo(Math.log(E + 1), 12)
  expect(out[1]).toBeCloseTo((10 * E + 20) / (E + 1), 12)
  expect(lse[1]).toBe(Number.POSITIVE_INFINITY)
})

test('merge: parts with an lse of ±Infinity or NaN are empty', () => {
  const problem = mergeStatesProblem({ parts: 4, batch: 1, heads: 1, valueDim: WIDTH })
  const outs = Float32Array.from([vector(1), vector(5), vector(Number.NaN), vector(Number.NaN)].flat())
  const lses = Float32Array.of(0, Math.log(3), Number.NaN, Number.POSITIVE_INFINITY)
  const { out, lse } = mergeOracle({ problem, outs, lses })
  expect(out[0]).toBeCloseTo(4, 6)
  expect(lse[0]).toBeCloseTo(Math.log(4), 6)
  const none = mergeOracle({ problem, outs, lses: new Float32Array(4).fill(Number.NEGATIVE_INFINITY) })
  expect(none.lse[0]).toBe(Number.POSITIVE_INFINITY)
  expect(none.out[0]).toBe(0)
})

test.each([
  ['none', [1, 2, 3, 4]],
  ['interleaved', [-2, 1, 3, 4]],
  ['neox', [-3, 2, 1, 4]],
] as const)('append, rotary %s', (rotary, expected) => {
  const cache = kvLayout({ format: 'f32', pages: 2, pageSize: 2, headDim: WIDTH })
  const problem = appendKvProblem({ maxTokens: 2, cache, ropeDim: 4, dtype: 'f32', rotary, tableLength: 1 })
  const storage = new Float32Array(4 * WIDTH).fill(7)
  const { storage: after, keys } = appendOracle({
    problem,
    tokens: 2,
    latent: new Float32Array(2 * 12).fill(5),
    ropeKey: Float32Array.of(1, 2, 3, 4, 9, 9, 9, 9),
    slots: Int32Array.of(3, -1),
    // A quarter turn of the first pair, none of the second.
    positions: rotary === 'none' ? null : Int32Array.of(0, 0),
    table: rotary === 'none' ? null : Float32Array.of(0, 1, 1, 0),
    storage,
    descaleK: 1,
  })
  const row = new Float64Array(WIDTH)
  readToken(cache, after as Float32Array, 1, 1, 0, row, 0)
  expect([...row]).toEqual([...Array(12).fill(5), ...expected])
  expect(keys).toEqual([row])
  expect([...after.subarray(0, 3 * WIDTH)]).toEqual(Array(3 * WIDTH).fill(7))
  expect(storage).toEqual(new Float32Array(4 * WIDTH).fill(7))
})

test('bf16 queries and e4m3 keys are dequantised', () => {
  const cache = kvLayout({ format: 'e4m3', pages: 1, pageSize: 1, headDim: WIDTH })
  const problem = decodeProblem({
    maxBatch: 1,
    heads: 1,
    valueDim: WIDTH,
    dtype: 'bf16',
    cache,
    blockTableWidth: 1,
    softmaxScale: 0.5,
  })
  const inputs: DenseInputs = {
    ...dense({}),
    problem,
    q: fromFloat32(vector(3), 'bf16'),
    storage: fromFloat32(vector(2), 'e4m3'),
    lengths: Int32Array.of(1),
    blockTable: Int32Array.of(0),
    width: 1,
    pages: 1,
    pageSize: 1,
    descaleQ: 4,
    descaleK: 0.25,
  }
  const { out, lse } = denseOracle(inputs, rowsOf(1))
  expect(out[0]).toBe(0.5)
  expect(lse[0]).toBe(3)
})
