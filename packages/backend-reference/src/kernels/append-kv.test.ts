import { type AppendKvArgs, type AppendKvOptions, appendKvProblem, kvLayout, readToken } from '@polymla/core'
import { expect, it } from 'vitest'
import type { Viewed } from '../view.js'
import { appendKv } from './append-kv.js'
import { cacheTensor, elementsOf, randomNumbers, runKernel, tensor } from './kernel.fixtures.js'

type Options = Partial<Omit<AppendKvOptions, 'cache'>> & {
  format?: 'f32' | 'e4m3' | 'fp8-656' | 'fp8-584'
  headsKv?: number
  headDim?: number
  positions?: number[]
  table?: number[]
  descaleK?: number
  latent?: ArrayLike<number>
  ropeKey?: ArrayLike<number>
}

/** Appends tokens to a cache of 2 pages of 3 tokens; returns what the cache then holds per token and head. */
function append(slots: number[], options: Options) {
  const { format = 'f32', headsKv = 1, headDim = 16, ropeDim = 4, table, positions, descaleK = 1 } = options
  const layout = kvLayout({ format, pages: 2, pageSize: 3, headsKv, headDim })
  const problem = appendKvProblem({
    maxTokens: slots.length,
    cache: layout,
    ropeDim,
    dtype: 'f32',
    rotary: options.rotary ?? 'none',
    ...(table && { tableLength: table.length / ropeDim }),
  })
  const tokens = slots.length
  const latentDim = headDim - ropeDim
  const latent = options.latent ?? randomNumbers(1, tokens * headsKv * latentDim)
  const ropeKey = options.ropeKey ?? randomNumbers(2, tokens * headsKv * ropeDim)
  const args = {
    tokens,
    latent: tensor('f32', [tokens, headsKv, latentDim], latent),
    ropeKey: ropeDim > 0 ? tensor('f32', [tokens, headsKv, ropeDim], ropeKey) : null,
    slots: tensor('i32', [tokens], slots),
    positions: positions ? tensor('i32', [tokens], positions) : null,
    rotaryTable: table ? tensor('f32', [table.length / ropeDim, ropeDim], table) : null,
    cache: cacheTensor(layout),
    descaleK,
    workspace: null,
  } satisfies Viewed<AppendKvArgs>
  runKernel(appendKv, problem, args)
  const stored = (token: number, head = 0) => {
    const key = new Float64Array(headDim)
    readToken(layout, elementsOf(args.cache), Math.floor(token / 3), token % 3, head, key, 0, descaleK)
    return [...key]
  }
  return { stored, latent: [...Array.from(latent)], ropeKey: [...Array.from(ropeKey)] }
}

it('writes [latent | ropeKey] to each slot and nothing elsewhere', () => {
  const { stored, latent, ropeKey } = append([4, 0], { headsKv: 2 })
  for (const [row, [token, head]] of [
    [4, 0],
    [4, 1],
    [0, 0],
    [0, 1],
  ].entries()) {
    const wanted = [...latent.slice(row * 12, row * 12 + 12), ...ropeKey.slice(row * 4, row * 4 + 4)]
    expect(stored(token, head)).toEqual(wanted)
  }
  for (const token of [1, 2, 3, 5]) expect(stored(token).every(Number.isNaN)).toBe(true)
})

it('skips slots outside the cache', () => {
  const { stored, latent } = append([-1, 6, 2 ** 31 - 1, 5], { ropeDim: 0 })
  expect(stored(5)).toEqual(latent.slice(48))
  for (const token of [0, 1, 2, 3, 4]) expect(stored(token).every(Number.isNaN)).toBe(true)
})

// Two positions: no turn, then quarter turns of the first pair and half turns of the second.
const table = [1, 1, 0, 0, 0, -1, 1, 0]

it('rotates interleaved pairs (2i, 2i + 1)', () => {
  const { stored, ropeKey } = append([0, 1], { rotary: 'interleaved', table, positions: [0, 1] })
  expect(stored(0).slice(12)).toEqual(ropeKey.slice(0, 4))
  const [x0, y0, x1, y1] = ropeKey.slice(4)
  expect(stored(1).slice(12)).toEqual([-y0, x0, -x1, -y1])
})

it('rotates neox pairs (i, i + ropeDim / 2)', () => {
  const { stored, ropeKey } = append([0, 1], { rotary: 'neox', table, positions: [0, 1] })
  expect(stored(0).slice(12)).toEqual(ropeKey.slice(0, 4))
  const [x0, x1, y0, y1] = ropeKey.slice(4)
  expect(stored(1).slice(12)).toEqual([-y0, -x1, x0, -y1])
})

it('skips tokens whose position is outside the table', () => {
  const { stored } = append([0, 1, 2], { rotary: 'neox', table, positions: [-1, 2, 0] })
  expect([0, 1, 2].map((token) => Number.isNaN(stored(token)[0]))).toEqual([true, true, false])
})

it('stores x / descaleK in an e4m3 cache', () => {
  const latent = Array(16)
    .fill(0)
    .map((_, i) => 8 * i)
  expect(append([0], { format: 'e4m3', ropeDim: 0, latent, descaleK: 8 }).stored(0)).toEqual(latent)
})

it.each([
  ['fp8-656', 576],
  ['fp8-584', 512],
] as const)('quantises to %s', (format, headDim) => {
  const { stored, latent, ropeKey } = append([2], { format, headDim, ropeDim: 64 })
  const found = stored(2)
  // randomNumbers have 8 bits: exact as bf16, within 1/16 as e4m3.
  expect(found.slice(-64)).toEqual(ropeKey)
  const worst = latent.map((x, i) => Math.abs(found[i] - x) / Math.max(Math.abs(x), 1 / 64))
  expect(Math.max(...worst)).toBeLessThanOrEqual(1 / 16)
})
