import { mergeStatesProblem } from '@polymla/core'
import { expect, it } from 'vitest'
import { expectClose, formula, numbers, randomNumbers, runKernel, tensor } from './kernel.fixtures.js'
import { mergeStates } from './merge-states.js'

const VALUE_DIM = 16
const NONE = Number.POSITIVE_INFINITY

/** Merges parts of one row; each part's out is constant. */
function merge(parts: { out: number; lse: number }[]): { out: number[]; lse: number } {
  const problem = mergeStatesProblem({ parts: parts.length, batch: 1, heads: 1, valueDim: VALUE_DIM })
  const args = {
    outs: tensor(
      'f32',
      [parts.length, 1, 1, 1, VALUE_DIM],
      parts.flatMap(({ out }) => Array(VALUE_DIM).fill(out)),
    ),
    lses: tensor(
      'f32',
      [parts.length, 1, 1, 1],
      parts.map(({ lse }) => lse),
    ),
    out: tensor('f32', [1, 1, 1, VALUE_DIM]),
    lse: tensor('f32', [1, 1, 1]),
    workspace: null,
  }
  runKernel(mergeStates, problem, args)
  return { out: numbers(args.out), lse: numbers(args.lse)[0] }
}

const constant = (x: number) => Array(VALUE_DIM).fill(x)

it('weighs parts by exp(lse)', () => {
  const { out, lse } = merge([
    { out: 1, lse: Math.log(3) },
    { out: 5, lse: 0 },
  ])
  expectClose(out, constant(2))
  expectClose([lse], [Math.log(4)])
})

it('does not overflow', () => {
  const { out, lse } = merge([
    { out: 1, lse: 3000 },
    { out: 5, lse: 3000 },
  ])
  expectClose(out, constant(3))
  expectClose([lse], [3000 + Math.log(2)])
})

it('takes ±Infinity and NaN for empty parts, whatever their out holds', () => {
  const empty = [NONE, Number.NEGATIVE_INFINITY, Number.NaN].map((lse) => ({ out: Number.NaN, lse }))
  expect(merge([...empty, { out: 7, lse: 2 }])).toStrictEqual({ out: constant(7), lse: 2 })
  expect(merge(empty)).toStrictEqual({ out: constant(0), lse: NONE })
  expect(merge([])).toStrictEqual({ out: constant(0), lse: NONE })
})

it('gives the whole from attention over halves, for every row', () => {
  const [batch, queryTokens, heads, headDim] = [2, 3, 2, 32]
  const rows = batch * queryTokens * heads
  const outs: number[] = []
  const lses: number[] = Array(2 * rows)
  const wanted = { out: [] as number[], lse: Array<number>(rows) }
  const statesOf = (row: number) => {
    const q = randomNumbers(row, headDim)
    const keys = Array.from({ length: 9 }, (_, j) => randomNumbers(100 + j, headDim))
    return [keys.slice(0, 4), keys.slice(4), keys].map((some) => formula(q, some, VALUE_DIM, 1))
  }
  for (let part = 0; part < 3; part++) {
    for (let row = 0; row < rows; row++) {
      const { out, lse } = statesOf(row)[part]
      const [request, s, head] = [
        Math.floor(row / heads / queryTokens),
        Math.floor(row / heads) % queryTokens,
        row % heads,
      ]
      const lseAt = (request * heads + head) * queryTokens + s
      if (part < 2) lses[part * rows + lseAt] = lse
      else wanted.lse[lseAt] = lse
      ;(part < 2 ? outs : wanted.out).push(...out)
    }
  }
  const problem = mergeStatesProblem({ parts: 2, batch, queryTokens, heads, valueDim: VALUE_DIM })
  const args = {
    outs: tensor('f32', [2, batch, queryTokens, heads, VALUE_DIM], outs),
    lses: tensor('f32', [2, batch, heads, queryTokens], lses),
    out: tensor('f32', [batch, queryTokens, heads, VALUE_DIM]),
    lse: tensor('f32', [batch, heads, queryTokens]),
    workspace: null,
  }
  runKernel(mergeStates, problem, args)
  expectClose(numbers(args.out), wanted.out)
  expectClose(numbers(args.lse), wanted.lse)
})
