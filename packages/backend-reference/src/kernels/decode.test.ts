import {
  computeSchedule,
  type DecodeArgs,
  type DecodeOptions,
  decodeProblem,
  kvLayout,
  SCHEDULE_STRIDE,
} from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { integers, type Viewed } from '../view.js'
import { decode } from './decode.js'
import {
  cacheTensor,
  expectClose,
  formula,
  numbers,
  randomNumbers,
  runKernel,
  tensor,
  writeKey,
} from './kernel.fixtures.js'
import { costModel, givenLengths, workPageSize, workspaceBytes } from './splits.js'
import { sees } from './visibility.js'

/** What a block table holds where nobody may look. */
const GARBAGE = 2147480000

type Options = Omit<DecodeOptions, 'maxBatch' | 'cache' | 'blockTableWidth' | 'softmaxScale' | 'heads'> & {
  heads?: number
  headsKv?: number
  pageSize?: number
  format?: 'f32' | 'bf16' | 'e4m3'
  lengths: number[]
  blockTableWidth?: number
  pageGap?: number
  seed?: number
}

const SCALE = 0.3
const HEAD_DIM = 32
const VALUE_DIM = 16

/** A decode of random numbers, everything that must not be read being NaN or garbage. */
function setUp(options: Options) {
  const {
    lengths,
    heads = 2,
    headsKv = 1,
    pageSize = 4,
    format = 'f32',
    pageGap = 0,
    seed = 0,
    blockTableWidth,
    ...rest
  } = options
  const batch = lengths.length
  const width = blockTableWidth ?? Math.max(1, ...lengths.map((length) => Math.ceil(length / pageSize)))
  const pages = batch * width + 1
  const plain = { format, pages, pageSize, headsKv, headDim: HEAD_DIM }
  const layout = kvLayout({ ...plain, pageStride: pageSize * headsKv * HEAD_DIM + pageGap })
  const problem = decodeProblem({
    softmaxScale: SCALE,
    valueDim: VALUE_DIM,
    outDtype: 'f32',
    ...rest,
    maxBatch: batch,
    heads,
    cache: layout,
    blockTableWidth: width,
  })
  const { queryTokens } = problem
  const cache = cacheTensor(layout)
  const table = new Int32Array(batch * width).fill(GARBAGE)
  const keys = lengths.map((length, request) => {
    const values = randomNumbers(seed + request, Math.max(length, 0) * headsKv * HEAD_DIM)
    return Array.from({ length: Math.max(length, 0) }, (_, j) => {
      // Pages from the last to the first.
      const page = pages - 1 - (request * width + Math.floor(j / pageSize))
      table[request * width + Math.floor(j / pageSize)] = page
      return Array.from({ length: headsKv }, (_, head) => {
        const key = values.subarray((j * headsKv + head) * HEAD_DIM, (j * headsKv + head + 1) * HEAD_DIM)
        writeKey(layout, cache, page * pageSize + (j % pageSize), head, key)
        return key
      })
    })
  })
  const q = randomNumbers(seed + 99, batch * queryTokens * heads * HEAD_DIM)
  const words = Math.ceil(queryTokens / 32)
  const masks = randomNumbers(seed + 98, batch * queryTokens * words).map((x) => Math.round(x * 2 ** 30))
  const args = {
    batch,
    q: tensor(problem.dtype, [batch, queryTokens, heads, HEAD_DIM], q),
    cache,
    seqlens: tensor('i32', [batch], lengths),
    blockTable: tensor('i32', [batch, width], table),
    treeMask: problem.mask === 'tree' ? tensor('i32', [batch, queryTokens, words], masks) : null,
    out: tensor(problem.outDtype, [batch, queryTokens, heads, VALUE_DIM]),
    lse: tensor('f32', [batch, heads, queryTokens]),
    descaleQ: 1,
    descaleK: 1,
    splitPages: problem.splitPages,
    workspace: tensor('u8', [workspaceBytes(problem)]),
    schedule: tensor('i32', [costModel.maxPartitions, SCHEDULE_STRIDE]),
    numSplits: tensor('i32', [batch + 1]),
  } satisfies Viewed<DecodeArgs>
  return { problem, args, keys, q, masks }
}

function run(
  problem: ReturnType<typeof decodeProblem>,
  args: ReturnType<typeof setUp>['args'],
): { out: number[]; lse: number[] } {
  const params = {
    partitions: costModel.maxPartitions,
    fixedOverhead: 1,
    pageSize: workPageSize(problem),
    splitPages: problem.splitPages,
  }
  const lengths = givenLengths(problem, args.batch, args.seqlens, null)
  computeSchedule(lengths, args.batch, params, integers(args.schedule), integers(args.numSplits))
  runKernel(decode, problem, args)
  return { out: numbers(args.out), lse: numbers(args.lse) }
}

/** The same by the formula. */
function expected({ problem, keys, q, masks }: ReturnType<typeof setUp>): { out: number[]; lse: number[] } {
  const { queryTokens, heads, maxBatch } = problem
  const words = Math.ceil(queryTokens / 32)
  const group = heads / problem.cache.headsKv
  const out: number[] = []
  const lse: number[] = []
  for (let request = 0; request < maxBatch; request++) {
    for (let s = 0; s < queryTokens; s++) {
      for (let head = 0; head < heads; head++) {
        const row = (request * queryTokens + s) * heads + head
        const maskAt = (request * queryTokens + s) * words
        const maskRow = Int32Array.from(masks.subarray(maskAt, maskAt + words))
        const seen = keys[request].filter((_, j) => sees(problem, keys[request].length, s, maskRow, j))
        const state = formula(
          q.subarray(row * HEAD_DIM, (row + 1) * HEAD_DIM),
          seen.map((heads) => heads[Math.floor(head / group)]),
          VALUE_DIM,
          SCALE,
        )
        out.push(...state.out)
        lse[(request * heads + head) * queryTokens + s] = state.lse
      }
    }
  }
  return { out, lse }
}

function expectFormula(options: Options): void {
  const it = setUp(options)
  const found = run(it.problem, it.args)
  const wanted = expected(it)
  expectClose(found.out, wanted.out)
  expectClose(found.lse, wanted.lse)
}

describe('decode', () => {
  it('is the formula, for any shape, mask, page size and way of splitting', () => {
    const shapes = fc.record({
      lengths: fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 4 }),
      queryTokens: fc.integer({ min: 1, max: 4 }),
      headsKv: fc.integer({ min: 1, max: 2 }),
      group: fc.constantFrom(1, 3, 20),
      pageSize: fc.constantFrom(1, 2, 5, 64, 100),
      pageGap: fc.constantFrom(0, 7),
      mask: fc.constantFrom('none', 'causal', 'tree'),
      splitPages: fc.constantFrom(0, 1, 3),
      seed: fc.nat(1000),
    })
    fc.assert(
      fc.property(shapes, ({ group, ...shape }) => expectFormula({ ...shape, heads: group * shape.headsKv })),
      { numRuns: 60 },
    )
  })

  it('takes masks of more than 32 query tokens', () => {
    expectFormula({ lengths: [90, 20], queryTokens: 40, mask: 'tree' })
  })

  it('gives 0, not −0, and lse +Infinity where nothing is visible', () => {
    const { problem, args } = setUp({ lengths: [0, 1], queryTokens: 3, mask: 'causal' })
    const { out, lse } = run(problem, args)
    const rows = (request: number, s: number) =>
      out.slice((request * 3 + s) * 2 * VALUE_DIM).slice(0, 2 * VALUE_DIM)
    for (const [request, s] of [
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 1],
    ]) {
      expect(rows(request, s)).toStrictEqual(Array(2 * VALUE_DIM).fill(0))
    }
    expect(lse.map(Number.isFinite)).toEqual([
      false,
      false,
      false,
      false,
      false,
      false,
      false,
      false,
      true,
      false,
      false,
      true,
    ])
    expect(lse.filter((x) => x === Number.POSITIVE_INFINITY)).toHaveLength(10)
  })

  it('hides the keys of page ids outside the cache', () => {
    const it = setUp({ lengths: [12], pageSize: 4 })
    const table = integers(it.args.blockTable)
    table[1] = it.problem.cache.pages
    it.keys[0].splice(4, 4)
    const wanted = expected(it)
    expectClose(run(it.problem, it.args).out, wanted.out)
    table[1] = -1
    expectClose(run(it.problem, it.args).lse, wanted.lse)
  })

  it('clamps lengths to [0, blockTableWidth · pageSize]', () => {
    const it = setUp({ lengths: [8, 8], pageSize: 4 })
    integers(it.args.seqlens).set([1000, -5])
    it.keys[1].length = 0
    expectClose(run(it.problem, it.args).out, expected(it).out)
  })

  it('lets NaN reach the rows that see it, and no other', () => {
    const it = setUp({ lengths: [9], pageSize: 4, queryTokens: 2, mask: 'causal' })
    const last = it.args.blockTable
    const key = new Float64Array(HEAD_DIM).fill(Number.NaN)
    writeKey(it.problem.cache, it.args.cache, integers(last)[2] * 4, 0, key)
    const { out, lse } = run(it.problem, it.args)
    const wanted = expected(it)
    const [first, second] = [out.slice(0, 2 * VALUE_DIM), out.slice(2 * VALUE_DIM)]
    expectClose(first, wanted.out.slice(0, 2 * VALUE_DIM))
    expect(second.every(Number.isNaN)).toBe(true)
    expect([lse[1], lse[3]].every(Number.isNaN)).toBe(true)
  })

  it('dequantises e4m3 with its factors', () => {
    const { problem, args, q } = setUp({ lengths: [20], format: 'e4m3' })
    const plain = run(problem, args)
    const [descaleQ, descaleK] = [0.5, 4]
    const scaled = run(
      { ...problem, softmaxScale: SCALE / (descaleQ * descaleK) },
      { ...args, descaleQ, descaleK },
    )
    expect(problem.dtype).toBe('e4m3')
    expect(q.length).toBeGreaterThan(0)
    expectClose(
      scaled.out,
      plain.out.map((x) => x * descaleK),
    )
    expectClose(scaled.lse, plain.lse)
  })

  it('rounds the output once, to its dtype', () => {
    const f32 = setUp({ lengths: [30] })
    const bf16 = setUp({ lengths: [30], outDtype: 'bf16' })
    const exact = tensor('bf16', bf16.args.out.shape, run(f32.problem, f32.args).out)
    expect(run(bf16.problem, bf16.args).out).toEqual(numbers(exact))
  })

  it('gives a request the same bits alone and in any batch when splits are fixed', () => {
    const alone = setUp({ lengths: [150], splitPages: 3 })
    const among = setUp({ lengths: [150, 7, 149, 0], splitPages: 3, blockTableWidth: 38 })
    const rows = alone.problem.heads * VALUE_DIM
    // Requests differ only by seed, so request 0 has the same keys; it needs the same query too.
    const sharedQ = among.q.subarray(0, alone.q.length)
    const args = { ...alone.args, q: tensor('f32', alone.args.q.shape, sharedQ) }
    expect(run(alone.problem, args).out).toEqual(run(among.problem, among.args).out.slice(0, rows))
  })

  it('asks for no workspace when no request can be split', () => {
    expect(setUp({ lengths: [4], pageSize: 4 }).args.workspace.memory.byteLength).toBe(0)
    expect(setUp({ lengths: [8], pageSize: 4, splitPages: 2 }).args.workspace.memory.byteLength).toBe(0)
  })
})
