import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import type { DecodeProblem, SparseDecodeProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Launch } from '../testing/memory-backend.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'
import { flashAttnVarlenFunc, flashMlaSparseFwd, flashMlaWithKvcache, getMlaMetadata } from './index.js'

let open: OpenMemory
let owned: { dispose(): void }[]

beforeEach(async () => {
  open = await openMemory()
  owned = []
})

afterEach(async () => {
  for (const handle of owned) handle.dispose()
  expectNothingLeft(open)
  await open.device.dispose()
})

function keep<T extends { dispose(): void }>(handle: T): T {
  owned.push(handle)
  return handle
}

function empty<D extends 'bf16' | 'f16' | 'f32' | 'i32' | 'u8' | 'e4m3'>(
  dtype: D,
  ...shape: number[]
): Tensor<D> {
  return keep(open.device.empty({ shape, dtype }))
}

const metadata = () => keep(getMlaMetadata('arguments', 'of', 'old')[0])

function kept<T extends Tensor[]>(tensors: T): T {
  for (const tensor of tensors) keep(tensor)
  return tensors
}

interface FlashLaunch extends Pick<Launch, 'stream'> {
  readonly problem: DecodeProblem | SparseDecodeProblem
  readonly args: Launch<'decode'>['args'] & Launch<'sparseDecode'>['args']
}

const launch = (at: number) => open.memory.launches[at] as FlashLaunch

describe('getMlaMetadata', () => {
  it('returns fresh metadata and null', () => {
    const [[first, second], [other]] = [getMlaMetadata(), getMlaMetadata()]
    expect(second).toBeNull()
    expect(first).not.toBe(other)
  })
})

describe('dense attention', () => {
  const table = [3, 1, 2, 0]

  it("takes FlashMLA's arguments in its order", () => {
    const q = empty('bf16', 2, 1, 16, 576)
    const cache = empty('bf16', 4, 64, 1, 576)
    const stream = keep(open.device.stream())
    const [out, lse] = kept(
      flashMlaWithKvcache(
        ...([
          q,
          cache,
          table,
          [100, 5],
          512,
          metadata(),
          null,
          0.25,
          true,
          false,
          null,
          null,
          null,
          null,
        ] as const),
        null,
        null,
        { stream },
      ),
    )
    expect(launch(0).stream).toBe(stream.backend)
    expect(launch(0).problem).toMatchObject({
      ...{ op: 'decode', maxBatch: 2, queryTokens: 1, heads: 16, valueDim: 512, blockTableWidth: 2 },
      ...{ softmaxScale: 0.25, mask: 'causal', dtype: 'bf16', outDtype: 'bf16', splitPages: 0 },
      cache: { format: 'bf16', pages: 4, pageSize: 64, headsKv: 1, headDim: 576, pageStride: 64 * 576 },
    })
    expect(launch(0).args).toMatchObject({ q, cache, out, lse, batch: 2 })
    expect([...integers(launch(0).args.seqlens)]).toEqual([100, 5])
    expect([...integers(launch(0).args.blockTable)]).toEqual(table)
    expect([out.dtype, out.shape, lse.dtype, lse.shape]).toEqual(['bf16', [2, 1, 16, 512], 'f32', [2, 16, 1]])
  })

  it("has FlashMLA's defaults", () => {
    const q = empty('bf16', 2, 1, 16, 512)
    kept(flashMlaWithKvcache(q, empty('bf16', 4, 64, 1, 512), table, [1, 1], 512, metadata()))
    expect(launch(0).problem).toMatchObject({ softmaxScale: 512 ** -0.5, mask: 'none' })
  })

  it.each([
    ['bf16', 'bf16', 'bf16', 'bf16'],
    ['f16', 'f16', 'fp16', 'f16'],
    ['f32', 'f32', 'f32', 'f32'],
    ['e4m3', 'e4m3', 'e4m3', 'bf16'],
    ['bf16', 'e4m3', 'e4m3', 'bf16'],
  ] as const)('reads the format from dtypes: %s over %s is %s giving %s', (dtype, stored, format, result) => {
    const q = empty(dtype, 2, 1, 2, 32)
    const options = dtype === 'e4m3' ? { descaleQ: 2, descaleK: 3 } : {}
    const fp8 = stored === 'e4m3'
    const [out] = kept(
      flashMlaWithKvcache(
        ...([q, empty(stored, 4, 64, 1, 32), table, [1, 1], 16, metadata(), null, 1, false, fp8] as const),
        ...([null, null, null, null, null, null, options] as const),
      ),
    )
    expect([out.dtype, launch(0).problem.cache.format]).toEqual([result, format])
    expect(launch(0).args).toMatchObject(dtype === 'e4m3' ? options : { descaleQ: 1, descaleK: 1 })
  })

  it('takes integers on the device, and caches with pages apart', () => {
    const q = empty('bf16', 2, 1, 2, 32)
    const cache = empty('bf16', 4, 2, 64, 1, 32)
      .slice(1, 0, 1)
      .view([4, 64, 1, 32], { strides: [4096, 32, 32, 1] })
    kept(flashMlaWithKvcache(q, cache, empty('i32', 2, 3), empty('i32', 2), 16, metadata()))
    expect(launch(0).problem).toMatchObject({ blockTableWidth: 3, cache: { pageStride: 4096 } })
  })

  it('takes an empty batch', () => {
    const [out, lse] = kept(
      flashMlaWithKvcache(empty('bf16', 0, 1, 2, 32), empty('bf16', 4, 64, 1, 32), [], [], 16, metadata()),
    )
    expect([out.shape, lse.shape, open.memory.launches]).toEqual([[0, 1, 2, 16], [0, 2, 1], []])
  })
})

describe('sparse attention', () => {
  const width = { 'fp8-656': [656, 576], 'fp8-584': [584, 512] } as const

  it.each(['fp8-656', 'fp8-584'] as const)('takes %s caches by the width of a token', (format) => {
    const [bytes, headDim] = width[format]
    const q = empty('bf16', 2, 3, 4, headDim)
    const cache = empty('u8', 4, 64, 1, bytes)
    const indices = empty('i32', 2, 3, 10)
    const sink = empty('f32', 4)
    const extraCache = empty('u8', 2, 16, 1, bytes)
    const extraIndices = empty('i32', 2, 3, 6)
    const [out, lse] = kept(
      flashMlaWithKvcache(
        ...([q, cache, null, null, 512, metadata(), null, null, false, true, indices, sink] as const),
        ...([extraCache, extraIndices, [10, 0], [1, 6]] as const),
      ),
    )
    expect(launch(0).problem).toMatchObject({
      ...{ op: 'sparseDecode', topk: 10, topkLength: true, sink: true, softmaxScale: headDim ** -0.5 },
      cache: { format, pages: 4, pageSize: 64 },
      extra: { cache: { format, pages: 2, pageSize: 16 }, topk: 6, topkLength: true },
    })
    expect(launch(0).args).toMatchObject({ q, cache, indices, sink, extraCache, extraIndices, out, lse })
    expect([...integers(launch(0).args.topkLength as never)]).toEqual([10, 0])
    expect([...integers(launch(0).args.extraTopkLength as never)]).toEqual([1, 6])
    expect([out.shape, lse.shape]).toEqual([
      [2, 3, 4, 512],
      [2, 4, 3],
    ])
  })

  it('takes bf16 caches, and no extras', () => {
    const q = empty('bf16', 2, 1, 4, 64)
    const [cache, indices] = [empty('bf16', 4, 64, 1, 64), empty('i32', 2, 1, 10)]
    kept(flashMlaWithKvcache(q, cache, null, null, 64, metadata(), null, 1, false, false, indices))
    expect(launch(0).problem).toMatchObject({ topkLength: false, extra: null, sink: false })
  })
})

describe('metadata', () => {
  const call = (
    meta: ReturnType<typeof metadata>,
    q: Tensor<'bf16'>,
    cache: Tensor,
    seqlens = [1, 1],
    table = [0, 1],
  ) => kept(flashMlaWithKvcache(q, cache, table, seqlens, 16, meta))

  it('keeps its plan from call to call, and sees each length', () => {
    const [q, cache] = [empty('bf16', 2, 1, 2, 32), empty('bf16', 4, 64, 1, 32)]
    const meta = metadata()
    call(meta, q, cache)
    call(meta, q, cache, [7, 8])
    expect(launch(0).problem).toBe(launch(1).problem)
    expect([...integers(launch(1).args.seqlens)]).toEqual([7, 8])
    expect([open.memory.live.plans, open.device.memory().handles.plan]).toEqual([1, 1])
  })

  it('makes another plan when the block table grows', () => {
    const [q, cache] = [empty('bf16', 2, 1, 2, 32), empty('bf16', 4, 64, 1, 32)]
    const meta = metadata()
    call(meta, q, cache)
    call(meta, q, cache, [1, 65], [0, 9, 1, 2])
    expect(launch(1).problem).toMatchObject({ blockTableWidth: 2 })
    expect(open.memory.live.plans).toBe(1)
  })

  it('refuses other shapes, until it is disposed', () => {
    const [q, cache] = [empty('bf16', 2, 1, 2, 32), empty('bf16', 4, 64, 1, 32)]
    const meta = metadata()
    call(meta, q, cache)
    const [wide, page] = [empty('bf16', 2, 1, 4, 32), empty('bf16', 4, 32, 1, 32)]
    for (const [name, args] of [
      ['heads', [wide, cache]],
      ['pageSize', [q, page]],
    ] as const) {
      expect(() => call(meta, ...args)).toThrow(`made for ${name}`)
      expect(() => call(meta, ...args)).toThrow(coded('POLYMLA_PLAN_STALE'))
    }
    meta.dispose()
    meta[Symbol.dispose]()
    call(meta, wide, page)
  })

  it('learns nothing from a call that failed', () => {
    const [q, cache] = [empty('bf16', 2, 1, 2, 32), empty('bf16', 4, 64, 1, 32)]
    const meta = metadata()
    expect(() => call(meta, q, cache, [99, 1])).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'seqlens[0]'))
    call(meta, empty('bf16', 2, 1, 4, 32), cache)
  })
})

describe('flashMlaSparseFwd', () => {
  it("takes FlashMLA's arguments in its order", () => {
    const q = empty('bf16', 3, 4, 576)
    const kv = empty('bf16', 9, 1, 576)
    const indices = empty('i32', 3, 1, 5)
    const sink = empty('f32', 4)
    const topkLength = empty('i32', 3)
    const stream = keep(open.device.stream())
    const [out, maxLogits, lse] = kept(
      flashMlaSparseFwd(q, kv, indices, 0.5, 256, sink, topkLength, { stream }),
    )
    expect(open.memory.launches).toMatchObject([
      {
        stream: stream.backend,
        problem: { op: 'sparsePrefill', softmaxScale: 0.5, valueDim: 256, sink: true, topkLength: true },
        args: { q, kv, indices, sink, topkLength, out, maxLogits, lse },
      },
    ])
    expect([out.shape, maxLogits.shape, lse.shape]).toEqual([
      [3, 4, 256],
      [3, 4],
      [3, 4],
    ])
    const [wide] = kept(flashMlaSparseFwd(q, kv, indices, 1))
    expect(wide.shape).toEqual([3, 4, 512])
  })
})

describe('flashAttnVarlenFunc', () => {
  it('is unsupported', () => {
    expect(() => flashAttnVarlenFunc()).toThrow(coded('POLYMLA_UNSUPPORTED'))
    try {
      flashAttnVarlenFunc('any', 'arguments')
    } catch (error) {
      expect(isPolymlaError(error) && error.fix).toContain('flashMlaSparseFwd')
    }
  })
})
