import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  appendKvProblem,
  decodeProblem,
  fromFloat32,
  type HostArray,
  hostArray,
  KV_FORMATS,
  type KvFormat,
  kvLayout,
  mergeStatesProblem,
  readToken,
  sparseDecodeProblem,
  sparsePrefillProblem,
  storageDType,
  storageLength,
  writeToken,
} from '@polymla/core'
import { describe, expect, test } from 'vitest'
import { Random } from '../random.js'
import { appendOracle } from './append-kv.js'
import { Attention } from './attend.js'
import { type DenseInputs, denseEmptyRows, denseOracle } from './dense.js'
import { FREE, heap } from './kernels.js'
import { SOURCE_HASH } from './kernels-code.js'
import { KeyReader } from './key-rows.js'
import { mergeOracle } from './merge-states.js'
import { sparseEmptyRows, sparseOracle } from './sparse-decode.js'
import { prefillOracle } from './sparse-prefill.js'

const WIDTH = 16
/** A vector of `WIDTH` numbers: the given ones, then zeros. */
const vector = (...numbers: number[]) => [...numbers, ...Array(WIDTH - numbers.length).fill(0)]
const E = Math.E

/** Attention over keys in float32. */
function attend(q: number[], keys: number[], rows: number[], valueDim: number, scale: number) {
  const pageSize = Math.max(keys.length / WIDTH, 1)
  const layout = kvLayout({ format: 'f32', pages: 1, pageSize, headDim: WIDTH })
  const attention = new Attention(new KeyReader([{ layout, storage: Float32Array.from(keys) }], 1), valueDim)
  return attention.attend(Float64Array.from(q), Int32Array.from(rows), scale)
}

test('attend, by hand', () => {
  // Logits 0 and ln 3: weights 1/4 and 3/4.
  const keys = [...vector(0, 4), ...vector(1, 8), ...vector(9, 9)]
  const [row] = attend(vector(Math.log(3)), keys, [0, 1], 2, 1)
  expect([...row.out]).toEqual([expect.closeTo(0.75, 12), expect.closeTo(7, 12)])
  expect(row.lse).toBeCloseTo(Math.log(4), 12)
  expect(row.maxLogit).toBeCloseTo(Math.log(3), 12)
})

test('attend over nothing', () => {
  const [row] = attend(vector(1), [], [], 2, 1)
  expect(row).toEqual({
    out: new Float64Array(2),
    lse: Number.POSITIVE_INFINITY,
    maxLogit: Number.NEGATIVE_INFINITY,
  })
})

test('attend, straight from the formula, for any number of queries and keys', () => {
  const random = new Random(1)
  const numbers = (count: number) => Array.from({ length: count }, () => Math.fround(random.normal()))
  const keys = numbers(40 * WIDTH)
  for (const [queries, count] of [
    [1, 1],
    [2, 3],
    [3, 4],
    [5, 37],
    [1, 1500],
  ]) {
    const q = numbers(queries * WIDTH)
    const rows = Array.from({ length: count }, () => random.integer(0, 39))
    attend(q, keys, rows, 6, 0.3).forEach(({ out, lse, maxLogit }, query) => {
      const logits = rows.map(
        (row) =>
          0.3 *
          q.slice(query * WIDTH).reduce((sum, x, i) => sum + (i < WIDTH ? x * keys[row * WIDTH + i] : 0), 0),
      )
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0)
      expect(lse).toBeCloseTo(Math.log(total), 11)
      expect(maxLogit).toBeCloseTo(Math.max(...logits), 11)
      out.forEach((value, dim) => {
        const sum = rows.reduce((sum, row, j) => sum + Math.exp(logits[j]) * keys[row * WIDTH + dim], 0)
        expect(value).toBeCloseTo(sum / total, 11)
      })
    })
  }
})

test.each(Object.keys(KV_FORMATS) as KvFormat[])('keys of %s are read as core reads them', (format) => {
  const packed = KV_FORMATS[format].packed
  const headsKv = packed ? 1 : 3
  const tight = kvLayout({ format, pages: 3, pageSize: 5, headsKv, headDim: packed?.headDim ?? 48 })
  const layout = kvLayout({ ...tight, pageStride: tight.pageStride + 16 })
  const storage = hostArray(storageDType(layout), storageLength(layout)) as HostArray
  const random = new Random(2)
  const bytes = new Uint8Array(storage.buffer)
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits()
  const reader = new KeyReader(
    [
      { layout, storage },
      { layout, storage },
    ],
    0.3,
  )
  const row = FREE + reader.bytes
  reader.place(FREE)
  const expected = new Float32Array(layout.headDim)
  for (let token = 0; token < 15; token++) {
    for (let head = 0; head < headsKv; head++) {
      readToken(layout, storage, Math.floor(token / 5), token % 5, head, expected, 0, 0.3)
      for (const cache of [0, 1]) {
        reader.read(reader.rowOf(cache, token, head), row)
        expect(heap.f32.slice(row / 4, row / 4 + layout.headDim)).toEqual(expected)
      }
    }
  }
})

test('the compiled kernels are those of assembly/attend.ts', () => {
  const source = readFileSync(new URL('../../assembly/attend.ts', import.meta.url))
  expect(createHash('sha256').update(source).digest('hex')).toBe(SOURCE_HASH)
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
