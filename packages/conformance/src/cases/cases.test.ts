import { readToken, toFloat32 } from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { casesOf, GRID_NAMES } from '../grids/grids.js'
import { Random } from '../random.js'
import { denseInputs, denseShape } from './dense-data.js'
import { type DenseSpec, denseName, denseSpec } from './dense-spec.js'
import { poisonedStorage } from './host-cache.js'
import { planPages } from './page-pool.js'
import { sparseInputs } from './sparse-data.js'
import { sparseName, sparseSpec } from './sparse-spec.js'

const FORMATS = ['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'] as const

function dense(given: Partial<DenseSpec>, seed = 0) {
  const spec = denseSpec(given)
  return denseInputs(spec, denseShape(spec, seed, denseName(spec)), new Random(seed, denseName(spec)))
}

test.each(GRID_NAMES)('names of %s are unique, and say what differs from the defaults', (grid) => {
  const names = casesOf(grid).map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(names).toContain('dense/bf16/b8-s2-k140-h16-kv1-causal-edges')
  expect(names).toContain('sparse/fp8-584/b3-s2-h64-k256-top128-len-extra64of128-page2-len-sink-zeros')
})

test('full holds FlashMLA’s own grids', () => {
  const names = casesOf('full').map(({ name }) => name)
  const count = (pattern: RegExp) => names.filter((name) => pattern.test(name)).length
  expect(count(/^dense\/(bf16|fp16)\/.*-mild$/)).toBe(2 * 2304 + 32)
  // Of its 1,036 corner cases 64 differ from others only in lengths that have no meaning where no index is valid.
  expect(count(/^sparse\/.*-mild$/)).toBe(3680 + (1036 - 64) + 32)
  // Its 224 cases with sinks and lengths hold 56 of the 120 without.
  expect(count(/^prefill\/bf16\/s(1|62|213)-h(64|128)-k\d+-top\d+-d(512|576)v512(-len)?(-sink)?$/)).toBe(
    120 + 168 + 8,
  )
  expect(count(/^prefill\/bf16\/s4096-.*-sink$/)).toBe(13)
})

describe('equal seeds give equal data, others do not', () => {
  const bytes = (value: unknown) => JSON.stringify(value)
  test.each(FORMATS)('dense, %s', (format) => {
    const given = { format, batch: 2, keys: 5, heads: 2, lengths: 'varlen' as const, pageSize: 4 }
    expect(bytes(dense(given, 3))).toBe(bytes(dense(given, 3)))
    expect(bytes(dense(given, 3))).not.toBe(bytes(dense(given, 4)))
  })
  test.each(FORMATS)('sparse, %s', (format) => {
    const spec = sparseSpec({ format, keys: 8, topk: 4, heads: 1, pageSize: 2 })
    const make = (seed: number) => bytes(sparseInputs(spec, new Random(seed, sparseName(spec))))
    expect(make(3)).toBe(make(3))
    expect(make(3)).not.toBe(make(4))
  })
})

describe('what must not be read is NaN', () => {
  test.each(FORMATS)('dense, %s: everything but the tokens of a request', (format) => {
    const { problem, storage, lengths, blockTable, width } = dense({
      format,
      batch: 3,
      keys: 70,
      lengths: 'edges',
    })
    const { cache } = problem
    const used = new Set<number>()
    lengths.forEach((length, request) => {
      for (let key = 0; key < length; key++) {
        used.add(blockTable[request * width + Math.floor(key / 64)] * 64 + (key % 64))
      }
    })
    const row = new Float64Array(cache.headDim)
    for (let token = 0; token < cache.pages * 64; token++) {
      readToken(cache, storage, Math.floor(token / 64), token % 64, 0, row, 0)
      expect(row.every(Number.isNaN)).toBe(!used.has(token))
      expect(row.every(Number.isFinite)).toBe(used.has(token))
    }
  })

  test.each(FORMATS)('sparse, %s: every token that no index reaches', (format) => {
    const spec = sparseSpec({ format, topkLength: true, topk: 40, heads: 1, queryTokens: 2 })
    const { main } = sparseInputs(spec, new Random(1))
    const { layout, storage, indices, topk, topkLength } = main
    const tokens = layout.pages * layout.pageSize
    const reached = new Set<number>()
    indices.forEach((index, i) => {
      const counts = i % topk < (topkLength as Int32Array)[Math.floor(i / (2 * topk))]
      if (counts && index >= 0 && index < tokens) reached.add(index)
    })
    expect(indices.some((index) => index >= 0 && index < tokens && !reached.has(index))).toBe(true)
    const row = new Float64Array(layout.headDim)
    for (let token = 0; token < tokens; token++) {
      readToken(layout, storage, Math.floor(token / 64), token % 64, 0, row, 0)
      expect(row.every(Number.isFinite)).toBe(reached.has(token))
    }
  })

  test('gaps between pages', () => {
    const { problem, storage } = dense({ format: 'bf16', batch: 1, keys: 8, pageSize: 4, pageGap: 8 })
    const { pageStride, headDim } = problem.cache
    const gap = toFloat32((storage as Uint16Array).subarray(4 * headDim, pageStride), 'bf16')
    expect(gap.length).toBe(8)
    expect(gap.every(Number.isNaN)).toBe(true)
    expect(toFloat32(poisonedStorage(problem.cache) as Uint16Array, 'bf16').every(Number.isNaN)).toBe(true)
  })
})

test('pages: every used entry is in the cache and filled far enough, every other one is not', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 8 })
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 9 }), fc.integer(), (list, pageSize, seed) => {
      const { pages, width, blockTable, filled } = planPages(
        new Random(seed),
        Int32Array.from(list),
        pageSize,
        1,
        false,
      )
      expect(blockTable.length).toBe(list.length * width)
      blockTable.forEach((page, i) => {
        const tokens = list[Math.floor(i / width)] - (i % width) * pageSize
        if (tokens <= 0) expect(page < 0 || page >= pages).toBe(true)
        else expect(filled[page]).toBe(Math.min(tokens, pageSize))
      })
    }),
  )
})
