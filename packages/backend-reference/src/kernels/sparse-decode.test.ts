import {
  computeSchedule,
  type KvFormat,
  kvLayout,
  SCHEDULE_STRIDE,
  type SparseDecodeArgs,
  sparseDecodeProblem,
} from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { integers, type Viewed } from '../view.js'
import {
  cacheTensor,
  expectClose,
  numbers,
  randomNumbers,
  runKernel,
  sinkFormula,
  tensor,
  writeKey,
} from './kernel.fixtures.js'
import { sparseDecode } from './sparse-decode.js'
import { costModel, workLengths, workPageSize, workspaceBytes } from './splits.js'

const SCALE = 0.3
const HEAD_DIM = 32
const VALUE_DIM = 16
const PAGES = 7

interface Options {
  /** Per request and query token the tokens it sees; a number outside the cache for an invisible one. */
  indices: number[][]
  extraIndices?: number[][]
  /** How many count; the rest of the indices are valid ones that must not. */
  lengths?: number[]
  extraLengths?: number[]
  sink?: number[]
  queryTokens?: number
  heads?: number
  pageSize?: number
  extraFormat?: KvFormat
  splitPages?: number
}

/** One cache of random keys; the tokens nobody names are NaN. */
function cacheOf(format: KvFormat, pageSize: number, used: Set<number>, seed: number, descale: number) {
  const layout = kvLayout({ format, pages: PAGES, pageSize, headDim: HEAD_DIM })
  const cache = cacheTensor(layout)
  const keys = new Map<number, Float64Array>()
  for (const token of used) {
    if (token < 0 || token >= PAGES * pageSize) continue
    const key = randomNumbers(seed + token, HEAD_DIM)
    // Small integers are exact in e4m3 too.
    const stored = format === 'e4m3' ? key.map((x) => Math.round(x * 8) * descale) : key
    writeKey(layout, cache, token, 0, stored, descale)
    keys.set(token, stored)
  }
  return { layout, cache, keys }
}

/** Runs the kernel and the formula. */
function compare(options: Options) {
  const {
    indices,
    lengths,
    extraIndices,
    extraLengths,
    sink,
    heads = 2,
    pageSize = 4,
    splitPages = 0,
  } = options
  const { extraFormat = 'f32', queryTokens = 1 } = options
  const descaleK = 0.5
  const batch = indices.length / queryTokens
  const counted = (rows: number[][], counts?: number[]) =>
    rows.map((row, i) => row.slice(0, counts?.[Math.floor(i / queryTokens)]))
  const main = cacheOf('f32', pageSize, new Set(counted(indices, lengths).flat()), 1, descaleK)
  const extra =
    extraIndices &&
    cacheOf(extraFormat, 3, new Set(counted(extraIndices, extraLengths).flat()), 500, descaleK)
  const problem = sparseDecodeProblem({
    maxBatch: batch,
    queryTokens,
    heads,
    valueDim: VALUE_DIM,
    dtype: 'f32',
    cache: main.layout,
    topk: indices[0].length,
    topkLength: lengths !== undefined,
    extra: extra
      ? {
          cache: extra.layout,
          topk: (extraIndices as number[][])[0].length,
          topkLength: extraLengths !== undefined,
        }
      : null,
    sink: sink !== undefined,
    softmaxScale: SCALE,
    splitPages,
  })
  const q = randomNumbers(7, indices.length * heads * HEAD_DIM)
  const ints = (rows: number[][] | undefined) =>
    rows ? tensor('i32', [batch, queryTokens, rows[0].length], rows.flat()) : null
  const counts = (values: number[] | undefined) => (values ? tensor('i32', [batch], values) : null)
  const args = {
    batch,
    q: tensor('f32', [batch, queryTokens, heads, HEAD_DIM], q),
    cache: main.cache,
    indices: tensor('i32', [batch, queryTokens, indices[0].length], indices.flat()),
    topkLength: counts(lengths),
    extraCache: extra?.cache ?? null,
    extraIndices: ints(extraIndices),
    extraTopkLength: counts(extraLengths),
    sink: sink ? tensor('f32', [heads], sink) : null,
    out: tensor('f32', [batch, queryTokens, heads, VALUE_DIM]),
    lse: tensor('f32', [batch, heads, queryTokens]),
    descaleK,
    splitPages,
    workspace: tensor('u8', [workspaceBytes(problem)]),
    schedule: tensor('i32', [costModel.maxPartitions, SCHEDULE_STRIDE]),
    numSplits: tensor('i32', [batch + 1]),
  } satisfies Viewed<SparseDecodeArgs>
  const params = {
    partitions: costModel.maxPartitions,
    fixedOverhead: 1,
    pageSize: workPageSize(problem),
    splitPages,
  }
  computeSchedule(
    workLengths(problem, args),
    batch,
    params,
    integers(args.schedule),
    integers(args.numSplits),
  )
  runKernel(sparseDecode, problem, args)

  const wanted = { out: [] as number[], lse: [] as number[] }
  for (let row = 0; row < indices.length; row++) {
    const seen = [
      ...counted(indices, lengths)[row].flatMap((token) => main.keys.get(token) ?? []),
      ...(extraIndices
        ? counted(extraIndices, extraLengths)[row].flatMap((token) => extra?.keys.get(token) ?? [])
        : []),
    ]
    for (let head = 0; head < heads; head++) {
      const query = q.subarray((row * heads + head) * HEAD_DIM, (row * heads + head + 1) * HEAD_DIM)
      const state = sinkFormula(query, seen, VALUE_DIM, SCALE, sink?.[head] ?? Number.NEGATIVE_INFINITY)
      wanted.out.push(...state.out)
      wanted.lse[(Math.floor(row / queryTokens) * heads + head) * queryTokens + (row % queryTokens)] =
        state.lse
    }
  }
  const found = { out: numbers(args.out), lse: numbers(args.lse) }
  expectClose(found.out, wanted.out)
  expectClose(found.lse, wanted.lse)
  return found
}

const index = (tokens: number) =>
  fc.oneof(fc.nat(tokens - 1), fc.constantFrom(-1, tokens, 2 ** 31 - 1, -(2 ** 31)))
const rows = (topk: number, tokens: number) =>
  fc.array(fc.array(index(tokens), { minLength: topk, maxLength: topk }), { minLength: 6, maxLength: 6 })

describe('sparse decode', () => {
  it('is the formula over the named tokens of both caches', () => {
    const cases = fc.constantFrom(1, 70, 150).chain((topk) =>
      fc.constantFrom(1, 65).chain((extraTopk) =>
        fc.record(
          {
            indices: rows(topk, PAGES * 4),
            lengths: fc.array(fc.integer({ min: 0, max: topk }), { minLength: 3, maxLength: 3 }),
            extraIndices: rows(extraTopk, PAGES * 3),
            extraLengths: fc.array(fc.integer({ min: 0, max: extraTopk }), { minLength: 3, maxLength: 3 }),
            sink: fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 40, maxLength: 40 }),
            splitPages: fc.constantFrom(0, 1),
          },
          { requiredKeys: ['indices'] },
        ),
      ),
    )
    fc.assert(
      fc.property(cases, ({ extraIndices, extraLengths, ...rest }) => {
        const extra = extraIndices && { extraIndices, ...(extraLengths && { extraLengths }) }
        compare({ ...rest, ...extra, heads: 40, queryTokens: 2 } as Options)
      }),
      { numRuns: 40 },
    )
  })

  it('counts an index that occurs twice twice', () => {
    const once = compare({ indices: [[3, 5]] })
    const twice = compare({ indices: [[3, 5, 3]] })
    expect(twice.lse[0]).toBeGreaterThan(once.lse[0])
  })

  it('sees nothing when topk is 0', () => {
    expect(compare({ indices: [[]] }).lse).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])
  })

  it('takes infinite sinks and ignores any sink of an empty row', () => {
    const sink = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]
    const { out } = compare({ indices: [[2, 4]], sink: sink.slice(0, 2) })
    expect(out.slice(0, VALUE_DIM).every((x) => x === 0)).toBe(true)
    expect(out.slice(VALUE_DIM)).not.toContain(0)
    const empty = compare({ indices: [[-1, 99]], sink, heads: 3 })
    expect(empty.out).toStrictEqual(Array(3 * VALUE_DIM).fill(0))
  })

  it('applies descaleK to the e4m3 cache of two only', () => {
    compare({ indices: [[1, 9]], extraIndices: [[0, 20, 7]], extraFormat: 'e4m3' })
  })
})
