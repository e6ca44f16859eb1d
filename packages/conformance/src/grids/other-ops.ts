import { type AppendSpec, appendCase } from '../cases/append-kv.js'
import type { Case } from '../cases/case.js'
import { type CopySpec, copyCase } from '../cases/copy-pages.js'
import { type MergeSpec, mergeCase } from '../cases/merge-states.js'
import type { PrefillSpec } from '../cases/prefill-data.js'
import { prefillCase } from '../cases/sparse-prefill.js'
import { distinct, product, thin } from './product.js'

const FORMATS = ['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'] as const

// Prefill -------------------------------------------------------------------------------------------------------------

const SHAPES = [
  [128, 128],
  [256, 256],
  [512, 512],
  [592, 128],
  [1840, 256],
  [1592, 384],
  [1521, 512],
  [95, 128],
  [153, 256],
  [114, 384],
].map(([keys, topk]) => ({ keys, topk }))

/**
 * FlashMLA's prefill tests (9241ae3), those of speed included. Its 70,000 query tokens take 20 GB with its heads: fewer
 * do, for more query tokens than a grid dimension of a launch holds.
 */
function flashMlaPrefill(): Partial<PrefillSpec>[] {
  const models = { headDim: [512, 576], heads: [128, 64] }
  const speed = (headDim: number, heads: number, topk: number, keys: number[]) =>
    product({ queryTokens: [4096], headDim: [headDim], heads: [heads], topk: [topk], keys, sink: [true] })
  return [
    ...product({ ...models, shape: SHAPES, queryTokens: [1, 62, 213] }).map(({ shape, ...given }) => ({
      ...given,
      ...shape,
    })),
    ...product({
      ...models,
      shape: SHAPES.slice(3),
      queryTokens: [62, 213],
      sink: [false, true],
      topkLength: [false, true],
    }).map(({ shape, ...given }) => ({ ...given, ...shape })),
    ...product({
      ...models,
      shape: [
        { queryTokens: 1, keys: 128, topk: 128 },
        { queryTokens: 1, keys: 256, topk: 256 },
        { queryTokens: 1234, keys: 4321, topk: 4096 },
        { queryTokens: 4096, keys: 2048, topk: 2048 },
      ],
      invalid: ['all'] as const,
      sink: [true],
      topkLength: [true],
    }).map(({ shape, ...given }) => ({ ...given, ...shape })),
    ...product({
      ...models,
      shape: [
        { keys: 32, topk: 2048 },
        { keys: 64, topk: 8192 },
      ],
      queryTokens: [1, 1024],
      sink: [true],
      topkLength: [true],
    }).map(({ shape, ...given }) => ({ ...given, ...shape })),
    { queryTokens: 70_000, heads: 2, keys: 64, topk: 8, sink: true, topkLength: true },
    ...speed(576, 128, 2048, [8192, 32768, 65536, 98304, 131072]),
    ...speed(512, 64, 512, [8192, 32768, 49152, 65536]),
    ...speed(512, 128, 1024, [8192, 32768, 49152, 65536]),
  ]
}

const smokePrefill: Partial<PrefillSpec>[] = [
  {},
  { sink: true, topkLength: true, headDim: 512, strided: true },
  { invalid: 'all', sink: true },
  { queryTokens: 0 },
]

function ourPrefill(): Partial<PrefillSpec>[] {
  return [
    ...product({ heads: [1, 7, 16, 63, 127, 128], topkLength: [false, true] }),
    ...product({ topk: [0, 1, 100, 129], heads: [16] }),
    ...product({ dtype: ['f16', 'f32'] as const, heads: [16], strided: [false, true] }),
    ...product({ headDim: [320, 512, 576], valueDim: [256, 64], heads: [16], sink: [true] }),
    { outDtype: 'f32', heads: 16 },
    { keys: 0, heads: 16 },
    { keys: 1, topk: 64, heads: 16, topkLength: true },
    { scale: 1e-4, heads: 16 },
    { lse: false, heads: 16 },
  ]
}

// Merge, append, copy ------------------------------------------------------------------------------------------------

const smokeMerge: Partial<MergeSpec>[] = [
  {},
  { empty: 'all' },
  { dtype: 'bf16', outDtype: 'bf16', strided: true },
  { parts: 0 },
]

function moreMerge(): Partial<MergeSpec>[] {
  return [
    ...product({
      parts: [1, 2, 17],
      dtype: ['f32', 'bf16', 'f16'] as const,
      outDtype: ['f32', 'bf16', 'f16'] as const,
    }),
    ...product({ heads: [1, 7, 128], queryTokens: [1, 3], strided: [false, true] }),
    ...product({ valueDim: [16, 256, 576], empty: ['none', 'some', 'all'] as const }),
    { batch: 0 },
    { batch: 64, parts: 33, heads: 4 },
    { lse: false },
  ]
}

const smokeAppend: Partial<AppendSpec>[] = [
  {},
  { rotary: 'interleaved' },
  { rotary: 'neox', slots: 'hostile', strided: true, pageGap: 64 },
  { tokens: 0 },
  ...FORMATS.slice(1).map((format) => ({ format, rotary: 'interleaved' as const })),
]

function moreAppend(): Partial<AppendSpec>[] {
  return [
    ...product({
      format: FORMATS,
      dtype: ['bf16', 'f16', 'f32'] as const,
      rotary: ['none', 'interleaved', 'neox'] as const,
      slots: ['host', 'hostile'] as const,
    }),
    ...product({ format: FORMATS, pageSize: [1, 2, 16, 61], pages: [30], pageGap: [0, 64], strided: [true] }),
    ...product({
      format: ['bf16', 'fp16', 'f32', 'e4m3'] as const,
      headsKv: [3],
      rotary: ['none', 'neox'] as const,
    }),
    ...product({ format: ['bf16', 'e4m3'] as const, headDim: [320, 512], ropeDim: [0, 64] }),
    ...[0.125, 0.3].map((descaleK) => ({ format: 'e4m3' as const, descaleK })),
    { tokens: 1 },
    { tokens: 200, pages: 5 },
  ]
}

const smokeCopy: Partial<CopySpec>[] = [
  {},
  { table: 'hostile', format: 'fp8-656', pageGap: 64 },
  { pairs: 0 },
]

function moreCopy(): Partial<CopySpec>[] {
  return [
    ...product({
      format: FORMATS,
      pageSize: [1, 61, 64],
      pageGap: [0, 64],
      table: ['host', 'hostile'] as const,
    }),
    ...product({
      format: ['bf16', 'fp16', 'f32', 'e4m3'] as const,
      headsKv: [1, 3],
      headDim: [320, 640],
      pageSize: [5],
    }),
    { pairs: 1 },
    { pairs: 150, pages: 400, pageSize: 4 },
  ]
}

const cases = (
  prefill: Partial<PrefillSpec>[],
  merge: Partial<MergeSpec>[],
  append: Partial<AppendSpec>[],
  copy: Partial<CopySpec>[],
): Case[] =>
  distinct([
    ...prefill.map(prefillCase),
    ...merge.map(mergeCase),
    ...append.map(appendCase),
    ...copy.map(copyCase),
  ])

export const smokeOtherOps = (): Case[] => cases(smokePrefill, smokeMerge, smokeAppend, smokeCopy)

export const standardOtherOps = (): Case[] => {
  const affordable = flashMlaPrefill().filter(
    ({ queryTokens = 1, topk = 0 }) => queryTokens <= 62 && topk <= 512,
  )
  return cases(
    [...smokePrefill, ...thin(affordable, 20), ...ourPrefill()],
    [...smokeMerge, ...moreMerge()],
    [...smokeAppend, ...moreAppend()],
    [...smokeCopy, ...moreCopy()],
  )
}

export const fullOtherOps = (): Case[] =>
  cases(
    [...smokePrefill, ...flashMlaPrefill(), ...ourPrefill()],
    [...smokeMerge, ...moreMerge()],
    [...smokeAppend, ...moreAppend()],
    [...smokeCopy, ...moreCopy()],
  )
