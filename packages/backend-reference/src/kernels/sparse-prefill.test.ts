import { type SparsePrefillArgs, sparsePrefillProblem } from '@polymla/core'
import { expect, it } from 'vitest'
import type { Viewed } from '../view.js'
import {
  elementsOf,
  expectClose,
  numbers,
  randomNumbers,
  runKernel,
  sinkFormula,
  tensor,
} from './kernel.fixtures.js'
import { sparsePrefill } from './sparse-prefill.js'

const SCALE = 0.3
const HEAD_DIM = 32
const VALUE_DIM = 16
const KEYS = 100

/** Runs query tokens that see the given keys, the others being NaN, and the formula. */
function compare(indices: number[][], lengths: number[] | null, sink: number[] | null, heads = 2) {
  const queryTokens = indices.length
  const topk = indices[0].length
  const problem = sparsePrefillProblem({
    queryTokens,
    heads,
    keys: KEYS,
    headDim: HEAD_DIM,
    valueDim: VALUE_DIM,
    dtype: 'f32',
    topk,
    topkLength: lengths !== null,
    sink: sink !== null,
    softmaxScale: SCALE,
  })
  const counted = indices.map((row, s) => row.slice(0, lengths?.[s]).filter((key) => key >= 0 && key < KEYS))
  const keys = randomNumbers(3, KEYS * HEAD_DIM)
  const kv = tensor('f32', [KEYS, 1, HEAD_DIM])
  const key = (i: number) => keys.subarray(i * HEAD_DIM, (i + 1) * HEAD_DIM)
  for (const i of counted.flat()) elementsOf(kv).set(key(i), i * HEAD_DIM)
  const q = randomNumbers(4, queryTokens * heads * HEAD_DIM)
  const args = {
    q: tensor('f32', [queryTokens, heads, HEAD_DIM], q),
    kv,
    indices: tensor('i32', [queryTokens, 1, topk], indices.flat()),
    topkLength: lengths && tensor('i32', [queryTokens], lengths),
    sink: sink && tensor('f32', [heads], sink),
    out: tensor('f32', [queryTokens, heads, VALUE_DIM]),
    maxLogits: tensor('f32', [queryTokens, heads]),
    lse: tensor('f32', [queryTokens, heads]),
    workspace: null,
  } satisfies Viewed<SparsePrefillArgs>
  runKernel(sparsePrefill, problem, args)

  const wanted = { out: [] as number[], lse: [] as number[], maxLogits: [] as number[] }
  for (let row = 0; row < queryTokens * heads; row++) {
    const [s, head] = [Math.floor(row / heads), row % heads]
    const query = q.subarray(row * HEAD_DIM, (row + 1) * HEAD_DIM)
    const seen = counted[s].map(key)
    const state = sinkFormula(query, seen, VALUE_DIM, SCALE, sink?.[head] ?? Number.NEGATIVE_INFINITY)
    wanted.out.push(...state.out)
    wanted.lse.push(state.lse)
    wanted.maxLogits.push(
      Math.max(...seen.map((k) => SCALE * k.reduce((sum, x, d) => sum + x * query[d], 0))),
    )
  }
  expectClose(numbers(args.out), wanted.out)
  expectClose(numbers(args.lse), wanted.lse)
  expectClose(numbers(args.maxLogits), wanted.maxLogits)
}

const many = Array.from({ length: 90 }, (_, i) => (i * 37) % KEYS)

it('is the formula over the named keys, a tile or many', () => {
  compare([many, many.toReversed()], null, null, 40)
  compare([[5], [99]], null, [0.5, -1])
})

it('counts leading indices only, clamped to [0, topk], and no index outside the keys', () => {
  compare(
    [
      [5, 6, 7],
      [8, 9, 10],
      [11, 12, 13],
    ],
    [2, -4, 50],
    null,
  )
  compare(
    [
      [-1, 4, KEYS],
      [2 ** 31 - 1, -(2 ** 31), 0],
    ],
    null,
    null,
  )
})

it('gives 0, lse +Infinity and the largest logit −Infinity for a row that sees nothing, whatever the sink', () => {
  compare([[-1, -1]], null, [Number.NaN, 3])
  compare([[]], null, null)
})

it('does nothing for no query tokens', () => {
  const problem = sparsePrefillProblem({ queryTokens: 0, heads: 2, keys: 0, topk: 0, softmaxScale: 1 })
  expect(sparsePrefill[0].units(problem, {} as never)).toBe(0)
})
