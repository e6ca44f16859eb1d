import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Tensor } from '../tensor/tensor.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'
import { flashMlaSparseFwd, flashMlaWithKvcache, getMlaMetadata } from './index.js'

type Args = Parameters<typeof flashMlaWithKvcache>

let open: OpenMemory
let tensors: ReturnType<typeof makeTensors>

function makeTensors() {
  const { device } = open
  const of = <D extends 'bf16' | 'i32' | 'f32' | 'u8'>(dtype: D, ...shape: number[]): Tensor<D> =>
    device.empty({ shape, dtype })
  return {
    q: of('bf16', 2, 1, 4, 512),
    bf16: of('bf16', 4, 64, 1, 512),
    narrow: of('bf16', 4, 64, 1, 256),
    packed: of('u8', 4, 64, 1, 584),
    wider: of('u8', 4, 64, 1, 656),
    odd: of('u8', 4, 64, 1, 600),
    indices: of('i32', 2, 1, 8),
    counts: of('i32', 2),
    sink: of('f32', 4),
    bytes: of('u8', 2, 1, 4, 512),
  }
}

beforeEach(async () => {
  open = await openMemory()
  tensors = makeTensors()
})

afterEach(async () => {
  for (const tensor of Object.values(tensors)) tensor.dispose()
  expectNothingLeft(open)
  await open.device.dispose()
})

const names = [
  ...['q', 'kCache', 'blockTable', 'cacheSeqlens', 'headDimV', 'tileSchedulerMetadata', 'numSplits'],
  ...['softmaxScale', 'causal', 'isFp8Kvcache', 'indices', 'attnSink', 'extraKCache'],
  ...['extraIndicesInKvcache', 'topkLength', 'extraTopkLength', 'options'],
] as const

/** Calls with the named arguments in their places. */
function call(given: Partial<Record<(typeof names)[number], unknown>>): unknown {
  using meta = getMlaMetadata()[0]
  const all: Record<string, unknown> = { tileSchedulerMetadata: meta, ...given }
  return flashMlaWithKvcache(...(names.map((name) => all[name]) as unknown as Args))
}

const dense = () => ({
  q: tensors.q,
  kCache: tensors.bf16,
  blockTable: [0, 1],
  cacheSeqlens: [64, 3],
  headDimV: 512,
})
const sparse = () => ({
  q: tensors.q,
  kCache: tensors.packed,
  blockTable: null,
  cacheSeqlens: null,
  headDimV: 512,
  isFp8Kvcache: true,
  indices: tensors.indices,
})

type Rule = [path: string, change: () => object]

const both: Rule[] = [
  ['q', () => ({ q: null })],
  ['q', () => ({ q: tensors.indices })],
  ['kCache', () => ({ kCache: {} })],
  ['kCache', () => ({ kCache: tensors.sink })],
  ['kCache', () => ({ kCache: tensors.odd, isFp8Kvcache: true })],
  ['headDim', () => ({ kCache: tensors.wider, isFp8Kvcache: true })],
  ['kCache.shape[3]', () => ({ kCache: tensors.narrow, isFp8Kvcache: false })],
  [
    'kCache',
    () => ({
      kCache: tensors.bf16.view([4, 32, 1, 512], { strides: [32768, 1024, 512, 1] }),
      isFp8Kvcache: false,
    }),
  ],
  ['tileSchedulerMetadata', () => ({ tileSchedulerMetadata: {} })],
  ['numSplits', () => ({ numSplits: tensors.counts })],
  ['causal', () => ({ causal: 1 })],
  ['isFp8Kvcache', () => ({ isFp8Kvcache: 'no' })],
  ['dtype', () => ({ q: tensors.bytes })],
  ['headDimV', () => ({ headDimV: undefined })],
  ['headDimV', () => ({ headDimV: Symbol('512') })],
  ['softmaxScale', () => ({ softmaxScale: Number.NaN })],
  ['options', () => ({ options: null })],
  ['stream', () => ({ options: { stream: {} } })],
  ['descaleQ', () => ({ options: { descaleQ: 2 } })],
  ['descaleK', () => ({ options: { descaleK: 2 } })],
]

const only: Record<'dense' | 'sparse', Rule[]> = {
  dense: [
    ['attnSink', () => ({ attnSink: tensors.sink })],
    ['extraKCache', () => ({ extraKCache: tensors.packed })],
    ['extraIndicesInKvcache', () => ({ extraIndicesInKvcache: tensors.indices })],
    ['topkLength', () => ({ topkLength: [1, 1] })],
    ['extraTopkLength', () => ({ extraTopkLength: [1, 1] })],
    ['blockTable and cacheSeqlens', () => ({ blockTable: null })],
    ['blockTable and cacheSeqlens', () => ({ cacheSeqlens: null })],
    ['blockTableWidth', () => ({ blockTable: [0, 1, 2] })],
    ['blockTableWidth', () => ({ blockTable: tensors.counts })],
    ['blockTable[0]', () => ({ blockTable: [4, 0] })],
    ['seqlens[1]', () => ({ cacheSeqlens: [1, 65] })],
  ],
  sparse: [
    ['causal', () => ({ causal: true })],
    ['indices', () => ({ indices: {} })],
    ['indices.shape[0]', () => ({ indices: tensors.indices.slice(0, 0, 1) })],
    ['sink', () => ({ attnSink: tensors.q })],
    ['extraKCache', () => ({ extraKCache: 5 })],
    ['extraIndicesInKvcache', () => ({ extraIndicesInKvcache: 5 })],
    ['extraIndices', () => ({ extraIndicesInKvcache: tensors.indices })],
    ['extraIndices', () => ({ extraKCache: tensors.packed })],
    ['extraTopkLength', () => ({ extraTopkLength: [1, 1] })],
    ['topkLength[0]', () => ({ topkLength: [9, 1] })],
  ],
}

describe.each([
  ['dense', dense],
  ['sparse', sparse],
] as const)('%s attention', (kind, valid) => {
  it.each([...both, ...only[kind]])(
    'refuses %s before anything is written, and frees its results',
    (path, change) => {
      const args = { ...valid(), ...change() }
      expect(() => call(args)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
      expect(open.memory.log).toEqual([])
      expectTensorsOnly()
    },
  )

  it('frees its results when there is no memory for all of them', () => {
    // The plan's metadata and out, but not lse.
    open.memory.options.allocations = Object.keys(tensors).length + 2
    expect(() => call(valid())).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    expect(open.memory.log).toEqual([])
    expectTensorsOnly()
  })

  it('refuses what the device lacks', () => {
    open.memory.options.supports = ({ op }) => `no ${op}`
    expect(() => call(valid())).toThrow(coded('POLYMLA_UNSUPPORTED'))
    expectTensorsOnly()
  })

  it('refuses a cache on another device', async () => {
    const other = await openMemory()
    const { dtype, shape } = valid().kCache
    const kCache = other.device.empty({ shape, dtype })
    expect(() => call({ ...valid(), kCache })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'cache'))
    expectTensorsOnly()
  })
})

describe('flashMlaSparseFwd', () => {
  it.each<[string, (q: Tensor, kv: Tensor) => unknown[]]>([
    ['q', () => [null]],
    ['q', (_q, kv) => [kv.view([4, 64, 1, 512])]],
    ['kv', (q) => [q, null]],
    ['indices', (q, kv) => [q, kv, [1], 1]],
    ['softmaxScale', (q, kv) => [q, kv, tensors.indices]],
    ['dV', (q, kv) => [q, kv, tensors.indices, 1, Symbol('512')]],
    ['dV', (q, kv) => [q, kv, tensors.indices, 1, 2.5]],
    ['dV', (q, kv) => [q, kv, tensors.indices, 1, 528]],
    ['sink', (q, kv) => [q, kv, tensors.indices, 1, 512, q]],
    ['topkLength', (q, kv) => [q, kv, tensors.indices, 1, 512, null, q]],
    ['options', (q, kv) => [q, kv, tensors.indices, 1, 512, null, null, null]],
    ['stream', (q, kv) => [q, kv, tensors.indices, 1, 512, null, null, { stream: null }]],
  ])('refuses %s before anything is written, and frees its results', (path, make) => {
    const args = make(tensors.q.view([2, 4, 512]), tensors.bf16.view([256, 1, 512]))
    expect(() => flashMlaSparseFwd(...(args as Parameters<typeof flashMlaSparseFwd>))).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
    expect(open.memory.log).toEqual([])
    expectTensorsOnly()
  })
})

function expectTensorsOnly(): void {
  expect(open.device.memory().handles).toMatchObject({ tensor: Object.keys(tensors).length, plan: 0 })
  expect(open.memory.live.plans).toBe(0)
}
