import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PolymlaError } from '../errors.js'
import { flashMlaSparseFwd, flashMlaWithKvcache, getMlaMetadata } from '../flash-mla/index.js'
import { kvLayout } from '../kv-cache/formats.js'
import {
  appendKvProblem,
  copyPagesProblem,
  decodeProblem,
  mergeStatesProblem,
  softmaxScaleFromConfig,
  sparseDecodeProblem,
  sparsePrefillProblem,
} from '../problem/index.js'
import { decodePlan, layout, step } from './decode-plans.js'
import { junk, spoilt } from './junk.js'
import { expectNothingLeft, type OpenMemory, openMemory } from './open-memory.js'

/** Inputs per entry point; with all of them, more than 10,000. */
const RUNS = 500
type Call = (...args: never[]) => unknown

const costModel = { maxPartitions: 3, choose: () => ({ partitions: 3, fixedOverhead: 1 }) }
let open: OpenMemory
let bad: fc.Arbitrary<unknown>
let dispose: () => void

beforeAll(async () => {
  open = await openMemory({ costModel, schedules: true, adopts: true })
  const other = await openMemory()
  const { device } = open
  const shared = {
    integers: device.zeros({ shape: [3], dtype: 'i32' }),
    table: device.zeros({ shape: [3, 3], dtype: 'i32' }),
    small: device.zeros({ shape: [1, 1, 1, 16], dtype: 'f32' }),
    bytes: device.zeros({ shape: [2, 64, 1, 656], dtype: 'u8' }),
    scalar: device.zeros({ shape: [], dtype: 'bf16' }),
    stream: device.stream(),
    storage: device.createKvStorage(layout),
  }
  const gone = [device.empty({ shape: [3], dtype: 'i32' }), device.createKvStorage(layout), device.stream()]
  for (const handle of gone) handle.dispose()
  const foreign = [other.device.empty({ shape: [3], dtype: 'i32' }), other.device.defaultStream]
  bad = junk([...Object.values(shared), ...gone, ...foreign, device, shared.small.slice(3, 0, 8)])
  dispose = () => {
    for (const handle of Object.values(shared)) handle.dispose()
  }
})

afterAll(async () => {
  dispose()
  expectNothingLeft(open)
  await open.device.dispose()
})

/** Whatever the arguments: either the call takes them, or it says why not and has touched nothing. */
function fuzz(call: Call, valid: readonly unknown[]): void {
  const { device, memory } = open
  const count = () => {
    const { peakBytes: _, ...rest } = device.memory()
    return rest
  }
  const before = count()
  const args = fc.oneof(
    { weight: 4, arbitrary: spoilt(valid, bad) },
    { weight: 1, arbitrary: fc.array(bad, { maxLength: valid.length }) },
  )
  const attempt = (given: readonly unknown[]) => {
    const made = call(...(given as never[])) as unknown
    for (const handle of [made].flat()) (handle as { dispose?(): void } | null)?.dispose?.()
  }
  let refused = 0
  attempt(valid)
  fc.assert(
    fc.property(args, (given) => {
      memory.log.length = 0
      memory.launches.length = 0
      try {
        attempt(given)
      } catch (error) {
        refused++
        if (!(error instanceof PolymlaError)) throw error
        expect(memory.log).toEqual([])
      }
      expect(count()).toEqual(before)
    }),
    { numRuns: RUNS },
  )
  expect(refused).toBeGreaterThan(RUNS / 4)
}

const cache = kvLayout({ format: 'bf16', pages: 4 })

describe('problems', () => {
  const extra = { cache, topk: 1, topkLength: true }
  const yarn = { type: 'yarn', factor: 40, mscale_all_dim: 1 }
  it.each<[string, Call, object]>([
    ['decode', decodeProblem, { maxBatch: 1, heads: 1, cache, blockTableWidth: 1, softmaxScale: 1 }],
    ['sparseDecode', sparseDecodeProblem, { maxBatch: 1, heads: 1, cache, topk: 1, extra, softmaxScale: 1 }],
    ['sparsePrefill', sparsePrefillProblem, { queryTokens: 1, heads: 1, keys: 1, topk: 1, softmaxScale: 1 }],
    ['appendKv', appendKvProblem, { maxTokens: 1, cache, rotary: 'neox', tableLength: 1 }],
    ['mergeStates', mergeStatesProblem, { parts: 1, batch: 1, heads: 1 }],
    ['copyPages', copyPagesProblem, { maxPairs: 1, cache }],
    ['kvLayout', kvLayout, { ...cache }],
    [
      'softmaxScale',
      softmaxScaleFromConfig,
      { qk_nope_head_dim: 1, qk_rope_head_dim: 1, rope_scaling: yarn },
    ],
  ])('%s', (_name, call, valid) => fuzz(call, [valid]))

  it('supports', () => {
    const valid = mergeStatesProblem({ parts: 1, batch: 1, heads: 1 })
    fuzz((problem) => open.device.supports(problem), [{ ...valid }])
  })
})

describe('tensors', () => {
  it('upload', () => {
    const valid = [Float32Array.of(1, 2), { shape: [2], dtype: 'f32' }]
    fuzz((data, options) => open.device.upload(data, options), valid)
  })

  it('empty, zeros and wrap', () => {
    fuzz((options) => open.device.empty(options), [{ shape: [2, 2], dtype: 'f32' }])
    fuzz((options) => open.device.zeros(options), [{ shape: [2, 2], dtype: 'f32', stream: undefined }])
    fuzz(
      (options) => open.device.wrap(options),
      [{ pointer: 64n, shape: [2, 2], strides: [2, 1], dtype: 'f32' }],
    )
  })

  it('view, slice, write and fillBytes', () => {
    using tensor = open.device.empty({ shape: [4, 3], dtype: 'i32' })
    fuzz((shape, options) => tensor.view(shape, options), [[2, 2], { strides: [2, 1], offset: 1 }])
    fuzz((dim, begin, end) => tensor.slice(dim, begin, end), [0, 1, 2])
    fuzz((data, options) => tensor.write(data, options), [new Int32Array(12), { stream: undefined }])
    fuzz((value, options) => tensor.fillBytes(value, options), [7, { stream: undefined }])
  })

  it('KV storage', () => {
    using tensor = open.device.empty({ shape: [2, 64, 1, 32], dtype: 'bf16' })
    const valid = { format: 'bf16', pages: 2, pageSize: 64, headsKv: 1, headDim: 32, pageStride: 2048 }
    fuzz((options) => open.device.createKvStorage(options), [valid])
    fuzz((given, options) => void open.device.adoptKvStorage(given, options), [tensor, valid])
  })
})

describe('plans', () => {
  it('planDecode and planSparseDecode', () => {
    const common = { maxBatch: 1, heads: 1, cache, softmaxScale: 1 }
    fuzz((options) => open.device.planDecode(options), [{ ...common, blockTableWidth: 1, mask: 'tree' }])
    fuzz((options) => open.device.planSparseDecode(options), [{ ...common, topk: 1, topkLength: true }])
  })

  it('DecodePlan', () => {
    using made = decodePlan(open, { mask: 'tree', blockTableWidth: 3 })
    const { plan, run } = made
    const treeMask = [1, 1, 1, 1, 1, 1]
    const valid = [{ ...step, treeMask, stale: () => null }, { stream: undefined }]
    fuzz((given, options) => void plan.update(given, options), valid)
    plan.update({ ...step, treeMask })
    fuzz((given) => plan.run(given), [{ ...run, descaleQ: 1, descaleK: 1, stream: undefined }])
  })

  it('SparseDecodePlan', () => {
    using made = decodePlan(open)
    const { q, cache: storage, out, lse } = made.run
    const problem = {
      maxBatch: 4,
      queryTokens: 2,
      heads: 3,
      valueDim: 16,
      cache: layout,
      topk: 5,
      softmaxScale: 1,
    }
    const extra = { cache: layout, topk: 5, topkLength: true }
    using plan = open.device.planSparseDecode({ ...problem, topkLength: true, sink: true, extra })
    using indices = open.device.zeros({ shape: [3, 2, 5], dtype: 'i32' })
    using sink = open.device.zeros({ shape: [3], dtype: 'f32' })
    const lengths = { batch: 3, topkLength: [1, 2, 3], extraTopkLength: Int32Array.of(0, 5, 1) }
    fuzz((given, options) => void plan.update(given, options), [lengths, { stream: undefined }])
    plan.update(lengths)
    const run = { q, cache: storage, indices, sink, extraCache: storage, extraIndices: indices, out, lse }
    fuzz((given) => plan.run(given), [{ ...run, descaleK: 1, stream: undefined }])
  })
})

describe('ops', () => {
  it('appendKv', () => {
    using cached = open.device.createKvStorage({ format: 'e4m3', pages: 4, pageSize: 2, headDim: 32 })
    using latent = open.device.empty({ shape: [3, 1, 16], dtype: 'f32' })
    using table = open.device.empty({ shape: [5, 16], dtype: 'f32' })
    const rotary = { style: 'neox', table, positions: [0, 1, 2] }
    const valid = { latent, ropeKey: latent, slots: [0, 1, -1], cache: cached, rotary, descaleK: 2 }
    fuzz((input) => open.device.appendKv(input), [valid])
  })

  it('copyPages and mergeStates', () => {
    using cached = open.device.createKvStorage(layout)
    fuzz((input) => open.device.copyPages(input), [{ cache: cached, pages: [0, 1, 2, 3] }])
    using outs = open.device.empty({ shape: [2, 1, 1, 1, 16], dtype: 'f32' })
    using lses = open.device.empty({ shape: [2, 1, 1, 1], dtype: 'f32' })
    using out = open.device.empty({ shape: [1, 1, 1, 16], dtype: 'f32' })
    fuzz((input) => open.device.mergeStates(input), [{ outs, lses, out, lse: null, stream: undefined }])
  })

  it('sparsePrefill, and by the name of FlashMLA', () => {
    using q = open.device.empty({ shape: [3, 1, 32], dtype: 'bf16' })
    using indices = open.device.zeros({ shape: [3, 1, 3], dtype: 'i32' })
    using out = open.device.empty({ shape: [3, 1, 16], dtype: 'bf16' })
    using sink = open.device.empty({ shape: [1], dtype: 'f32' })
    const valid = { q, kv: q, indices, out, sink, softmaxScale: 1 }
    fuzz((input) => open.device.sparsePrefill(input), [valid])
    fuzz(flashMlaSparseFwd, [q, q, indices, 1, 16, sink, null, {}])
  })

  it('flashMlaWithKvcache', () => {
    using made = decodePlan(open)
    const { q, cache: storage } = made.run
    using indices = open.device.zeros({ shape: [3, 2, 8], dtype: 'i32' })
    const call = (...args: never[]) => {
      using meta = getMlaMetadata()[0]
      const [a, b, c, d, e, f, ...rest] = args
      return flashMlaWithKvcache(a, b, c, d, e, f ?? meta, ...rest)
    }
    const { seqlens, blockTable } = step
    fuzz(call, [q, storage.tensor, blockTable, seqlens, 16, undefined, null, 1, true, false])
    const lengths = [[1, 2, 3], null, {}]
    const sparse = [indices, null, storage.tensor, indices, ...lengths]
    fuzz(call, [q, storage.tensor, null, null, 16, undefined, null, 1, false, false, ...sparse])
  })
})
