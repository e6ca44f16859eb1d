import { describe, expect, it } from 'vitest'
import { type KvFormat, kvLayout } from '../kv-cache/formats.js'
import { coded } from '../testing/open-memory.js'
import {
  appendKvProblem,
  copyPagesProblem,
  decodeProblem,
  mergeStatesProblem,
  sparseDecodeProblem,
  sparsePrefillProblem,
} from './index.js'
import { checkProblem } from './problem.js'

const layoutOf = (format: KvFormat, headsKv = 1) => kvLayout({ format, pages: 8, headsKv })
const cache = layoutOf('bf16')
const given = {
  decode: { maxBatch: 4, heads: 16, cache, blockTableWidth: 2, softmaxScale: 0.1 },
  sparseDecode: { maxBatch: 4, heads: 16, cache, topk: 64, softmaxScale: 0.1 },
  sparsePrefill: { queryTokens: 4, heads: 16, keys: 100, topk: 64, softmaxScale: 0.1 },
  appendKv: { maxTokens: 4, cache },
  mergeStates: { parts: 2, batch: 4, heads: 16 },
  copyPages: { maxPairs: 4, cache },
}
const makers = {
  decode: decodeProblem,
  sparseDecode: sparseDecodeProblem,
  sparsePrefill: sparsePrefillProblem,
  appendKv: appendKvProblem,
  mergeStates: mergeStatesProblem,
  copyPages: copyPagesProblem,
} as const
type Op = keyof typeof makers

function make(op: Op, changes: object = {}): unknown {
  return (makers[op] as (options: unknown) => unknown)({ ...given[op], ...changes })
}

describe('defaults', () => {
  it.each([
    [
      'decode',
      {
        queryTokens: 1,
        valueDim: 512,
        dtype: 'bf16',
        outDtype: 'bf16',
        mask: 'none',
        splitPages: 0,
      },
    ],
    [
      'sparseDecode',
      {
        queryTokens: 1,
        valueDim: 512,
        dtype: 'bf16',
        outDtype: 'bf16',
        topkLength: false,
        extra: null,
        sink: false,
        splitPages: 0,
      },
    ],
    [
      'sparsePrefill',
      { headDim: 576, valueDim: 512, dtype: 'bf16', outDtype: 'bf16', topkLength: false, sink: false },
    ],
    ['appendKv', { ropeDim: 64, dtype: 'bf16', rotary: 'none', tableLength: 0 }],
    ['mergeStates', { queryTokens: 1, valueDim: 512, dtype: 'f32', outDtype: 'f32' }],
    ['copyPages', {}],
  ] as const)('of %s are filled in', (op, defaults) => {
    expect(make(op)).toEqual({ op, ...given[op], ...defaults })
    expect(Object.isFrozen(make(op))).toBe(true)
  })

  it.each([
    ['fp16', 'f16', 'f16'],
    ['f32', 'f32', 'f32'],
    ['e4m3', 'e4m3', 'bf16'],
    ['fp8-656', 'bf16', 'bf16'],
    ['fp8-584', 'bf16', 'bf16'],
  ] as const)('of a decode over %s are a %s query and a %s result', (format, dtype, outDtype) => {
    expect(make('decode', { cache: layoutOf(format) })).toMatchObject({ dtype, outDtype })
  })

  it('of an extra cache are filled in', () => {
    const extra = { cache: layoutOf('fp8-656'), topk: 3 }
    expect(make('sparseDecode', { extra })).toMatchObject({ extra: { ...extra, topkLength: false } })
    expect(make('sparseDecode', { extra: null })).toMatchObject({ extra: null })
  })

  it('of results follow the query', () => {
    for (const op of ['sparseDecode', 'sparsePrefill', 'mergeStates'] as const) {
      expect(make(op, { dtype: 'f16' })).toMatchObject({ dtype: 'f16', outDtype: 'f16' })
    }
  })
})

const count = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, Symbol('one'), null, undefined, {}]
const int32 = [...count, 2 ** 31]
const positive = [...count.filter((value) => value !== null && value !== undefined), 0]
const optionalInt32 = int32.filter((value) => value !== null && value !== undefined)
const scale = [undefined, null, Number.NaN, Number.POSITIVE_INFINITY, '1']
const flag = [0, 1, 'true', {}]

describe('rules', () => {
  it.each<[Op, string, readonly unknown[]]>([
    ['decode', 'maxBatch', int32],
    ['decode', 'queryTokens', [...positive, 2 ** 31]],
    ['decode', 'heads', [...count, 0]],
    ['decode', 'valueDim', [...positive, 8, 24, 592]],
    ['decode', 'dtype', ['u8', 'f64', 1]],
    ['decode', 'outDtype', ['e4m3', 'i32', {}]],
    ['decode', 'blockTableWidth', int32],
    ['decode', 'mask', ['left', 1, Symbol('mask')]],
    ['decode', 'softmaxScale', scale],
    ['decode', 'splitPages', optionalInt32],
    ['sparseDecode', 'maxBatch', int32],
    ['sparseDecode', 'queryTokens', positive],
    ['sparseDecode', 'heads', [...count, 0]],
    ['sparseDecode', 'valueDim', [...positive, 24, 592]],
    ['sparseDecode', 'dtype', ['e4m3', 'u8']],
    ['sparseDecode', 'outDtype', ['e4m3']],
    ['sparseDecode', 'topk', int32],
    ['sparseDecode', 'topkLength', flag],
    ['sparseDecode', 'extra', [0, '', false, [], 'cache']],
    ['sparseDecode', 'sink', flag],
    ['sparseDecode', 'softmaxScale', scale],
    ['sparseDecode', 'splitPages', optionalInt32],
    ['sparsePrefill', 'queryTokens', count],
    ['sparsePrefill', 'heads', [...count, 0]],
    ['sparsePrefill', 'keys', int32],
    ['sparsePrefill', 'headDim', [...positive, 24, 2 ** 16 + 16]],
    ['sparsePrefill', 'valueDim', [...positive, 24, 592]],
    ['sparsePrefill', 'dtype', ['e4m3', 'u8']],
    ['sparsePrefill', 'outDtype', ['e4m3']],
    ['sparsePrefill', 'topk', int32],
    ['sparsePrefill', 'topkLength', flag],
    ['sparsePrefill', 'sink', flag],
    ['sparsePrefill', 'softmaxScale', scale],
    ['appendKv', 'maxTokens', int32],
    ['appendKv', 'ropeDim', [-2, 7, 578, '2', {}]],
    ['appendKv', 'dtype', ['e4m3', 'i32']],
    ['appendKv', 'rotary', ['left', true]],
    ['mergeStates', 'parts', count],
    ['mergeStates', 'batch', count],
    ['mergeStates', 'queryTokens', positive],
    ['mergeStates', 'heads', [...count, 0]],
    ['mergeStates', 'valueDim', [...positive, 24, 2 ** 16 + 16]],
    ['mergeStates', 'dtype', ['e4m3', 'i32']],
    ['mergeStates', 'outDtype', ['e4m3']],
    ['copyPages', 'maxPairs', int32],
  ])('%s refuses a bad %s: %o', (op, path, values) => {
    for (const value of values) {
      expect(() => make(op, { [path]: value })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    }
  })

  it.each<[Op, string, object]>([
    ['decode', 'format', { cache: {} }],
    ['decode', 'cache', { cache: null }],
    ['decode', 'cache', { cache: { layout: cache } }],
    ['sparseDecode', 'format', { cache: { format: 'fp4' } }],
    ['appendKv', 'pageSize', { cache: { ...cache, pageSize: 0 } }],
    ['copyPages', 'pageStride', { cache: { ...cache, pageStride: 1 } }],
    ['decode', 'heads', { heads: 6, cache: layoutOf('bf16', 4) }],
    ['sparseDecode', 'cache.headsKv', { cache: layoutOf('bf16', 4) }],
    ['sparseDecode', 'extra.cache.headsKv', { extra: { cache: layoutOf('bf16', 4), topk: 1 } }],
    ['sparseDecode', 'extra.cache.headDim', { extra: { cache: layoutOf('fp8-584'), topk: 1 } }],
    ['sparseDecode', 'extra.cache', { extra: { cache: { layout: cache }, topk: 1 } }],
    ['sparseDecode', 'extra.topk', { extra: { cache, topk: -1 } }],
    ['sparseDecode', 'extra.topkLength', { extra: { cache, topk: 1, topkLength: 1 } }],
    ['sparseDecode', 'extra.topK', { extra: { cache, topk: 1, topK: 1 } }],
    ['appendKv', 'rotary', { rotary: 'neox', ropeDim: 0, tableLength: 1 }],
    ['appendKv', 'tableLength', { rotary: 'neox' }],
    ['appendKv', 'tableLength', { rotary: 'interleaved', tableLength: 0 }],
  ])('%s refuses %s in %o', (op, path, changes) => {
    expect(() => make(op, changes)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })

  it.each(Object.keys(makers) as Op[])('%s takes an object of its own options alone', (op) => {
    for (const bad of [undefined, null, 5, 'options', [], () => 0]) {
      expect(() => makers[op](bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', op))
    }
    expect(() => make(op, { softmax_scale: 1 })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', `${op}.softmax_scale`),
    )
  })
})

describe('extremes', () => {
  it.each<[Op, object]>([
    ['decode', { maxBatch: 0, blockTableWidth: 0, heads: 1 }],
    ['decode', { queryTokens: 2 ** 31 - 1, maxBatch: 2 ** 31 - 1, softmaxScale: -0 }],
    ['decode', { heads: 8, cache: layoutOf('bf16', 4) }],
    ['sparseDecode', { maxBatch: 0, topk: 0, heads: 1 }],
    ['sparsePrefill', { queryTokens: 0, keys: 0, topk: 0, heads: 1, headDim: 16, valueDim: 16 }],
    ['appendKv', { maxTokens: 0, ropeDim: 0 }],
    ['appendKv', { ropeDim: 576, rotary: 'neox', tableLength: 1 }],
    ['mergeStates', { parts: 0, batch: 0, heads: 1 }],
    ['copyPages', { maxPairs: 0, cache: { ...cache, pages: 0 } }],
  ])('%s takes %o', (op, changes) => {
    expect(make(op, changes)).toMatchObject(changes)
  })
})

describe('checkProblem', () => {
  it.each(Object.keys(makers) as Op[])('leaves a valid %s as it is', (op) => {
    const problem = make(op)
    expect(checkProblem(problem as never)).toEqual(problem)
  })
})
