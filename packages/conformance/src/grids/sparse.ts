import type { Case } from '../cases/case.js'
import { sparseCase } from '../cases/sparse-decode.js'
import type { sparseSpec } from '../cases/sparse-spec.js'
import { distinct, product, thin } from './product.js'

type Specs = readonly Parameters<typeof sparseSpec>[0][]

interface Shape {
  readonly keys: number
  readonly topk: number
  readonly pageSize: number
}

const shapes = (list: readonly (readonly [keys: number, topk: number, pageSize: number])[]): Shape[] =>
  list.map(([keys, topk, pageSize]) => ({ keys, topk, pageSize }))

/** What FlashMLA's tests (9241ae3) choose indices from. */
const SHAPES = shapes([
  [512, 64, 2],
  [512, 64, 64],
  [512, 64, 69],
  [1024, 576, 2],
  [1024, 576, 61],
  [2046, 2048, 2],
  [2046, 2048, 64],
  [2046, 2048, 576],
])
const CORNER_SHAPES = shapes([
  [512, 64, 61],
  [650, 576, 53],
])

/** The formats of FlashMLA's tests with what each has: lengths and an extra cache for 584 bytes only. */
function variants(extraShapes: readonly Shape[]): Specs {
  const plain = { format: 'fp8-656' as const }
  const extras = extraShapes.flatMap((shape) => [false, true].map((topkLength) => ({ ...shape, topkLength })))
  return [
    plain,
    ...product({ format: ['fp8-584'] as const, topkLength: [false, true], extra: [null, ...extras] }),
  ]
}

/** Every variant on every base; where FlashMLA also has requests of one length, all indices are valid. */
function flashMla<Base extends { batch: number; shape: Shape }>(shapes: readonly Shape[], bases: Base[]) {
  return variants(shapes).flatMap((variant) =>
    bases.flatMap(({ shape, ...base }) => {
      const given = { ...variant, ...shape, ...base, scale: 'flashmla' as const }
      const fixed = base.batch === 74 && !variant.topkLength && !variant.extra?.topkLength
      return fixed ? [given, { invalid: 'none' as const, ...given }] : [given]
    }),
  )
}

const flashMlaCorrectness = flashMla(
  SHAPES,
  product({
    shape: SHAPES,
    heads: [64, 128],
    queryTokens: [1, 3],
    batch: [4, 74, 321],
    sink: ['mixed'] as const,
  }),
)

/** All indices invalid, and requests without any key. */
const flashMlaCorner = flashMla(
  CORNER_SHAPES,
  product({
    shape: CORNER_SHAPES,
    heads: [64, 128],
    queryTokens: [3],
    batch: [4, 74, 321],
    allInvalid: [false, true],
    zeroLengths: [false, true],
    sink: ['mixed', 'none'] as const,
  })
    .filter(({ allInvalid, zeroLengths, sink }) => allInvalid || zeroLengths || sink === 'mixed')
    .map(({ allInvalid, ...given }) => (allInvalid ? { ...given, invalid: 'all' as const } : given)),
)

/** The problems with which FlashMLA's tests measure speed. */
const flashMlaSpeed: Specs = [
  ...product({ batch: [2, 64, 74, 128] }).map((given) => ({ heads: 128, keys: 32768, topk: 2048, ...given })),
  ...product({
    batch: [2, 64, 74, 128, 148, 256],
    model: [
      { heads: 64, extra: { topk: 512 } },
      { heads: 128, extra: { topk: 1024 } },
      { heads: 64, extra: { topk: 1024, pageSize: 2, topkLength: true } },
      { heads: 128, extra: { topk: 1024, pageSize: 2, topkLength: true } },
    ],
  }).map(({ batch, model: { heads, extra } }) => ({
    format: 'fp8-584' as const,
    batch,
    heads,
    keys: 16384,
    pageSize: 256,
    extra: { keys: 16384, ...extra },
  })),
  ...product({
    format: ['fp8-656', 'fp8-584'] as const,
    heads: [64, 128],
    batch: [148],
    keys: [32768],
    topk: [16384],
  }),
].map((given) => ({ ...given, queryTokens: 2, scale: 'flashmla' as const }))

const FORMATS = ['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'] as const

/** One case per property, in seconds. Faults are caught by these. */
const smoke: Specs = [
  {},
  { sink: 'mixed' },
  {
    format: 'fp8-584',
    batch: 3,
    queryTokens: 2,
    topkLength: true,
    zeroLengths: true,
    extra: { pageSize: 2, topkLength: true },
    sink: 'mixed',
  },
  { topkLength: true, lengthsOn: 'device' },
  { invalid: 'all', sink: 'mixed' },
  { heads: 7, topk: 100 },
  { batch: 0 },
  ...FORMATS.slice(0, 4).map((format) => ({ format, heads: 16, queryTokens: 2 })),
]

/** What FlashMLA's tests leave out: any head count, any top-k, lengths and extra caches of every format, plain formats. */
function ours(): Specs {
  return [
    ...product({
      heads: [1, 3, 7, 9, 16, 20, 32, 63, 96, 127, 128],
      format: ['fp8-656', 'fp8-584', 'bf16'] as const,
    }),
    ...product({
      topk: [0, 1, 2, 63, 65, 100, 191],
      format: ['fp8-656', 'fp8-584', 'bf16'] as const,
      heads: [16],
    }),
    ...product({ format: FORMATS, pageSize: [1, 2, 16, 61, 576], heads: [16] }),
    ...product({
      format: FORMATS,
      extra: [null, { pageSize: 2 }, { topk: 33, topkLength: true }],
      queryTokens: [1, 3],
    }).map((given) => ({ ...given, heads: 16, topkLength: true, zeroLengths: true, sink: 'mixed' as const })),
    ...product({ format: FORMATS, pageGap: [64], stridedQuery: [true], queryTokens: [2], heads: [16] }),
    ...product({ format: ['bf16', 'fp8-656'] as const, invalid: ['all', 'none'] as const, heads: [16] }),
    ...product({
      format: ['fp8-656', 'fp8-584', 'bf16'] as const,
      splitPages: [1, 3],
      topk: [400],
      heads: [16],
    }),
    ...product({
      format: FORMATS,
      lengthsOn: ['device'] as const,
      topkLength: [true],
      heads: [16],
      queryTokens: [1, 2],
    }).map((given) => ({ ...given, extra: { topk: 40, topkLength: true } })),
    ...[
      [320, 256],
      [512, 512],
      [192, 128],
    ].map(([headDim, valueDim]) => ({ format: 'bf16' as const, headDim, valueDim, heads: 16 })),
    ...(['f16', 'f32'] as const).map((dtype) => ({ format: 'f32' as const, dtype, heads: 16 })),
    { format: 'bf16', outDtype: 'f32', heads: 16 },
    { format: 'fp8-656', extra: { format: 'bf16' }, heads: 16 },
    { batch: 0, format: 'bf16', heads: 16 },
    { lse: false, heads: 16 },
    { batch: 70, keys: 40, topk: 20, heads: 4 },
  ]
}

const cases = (specs: Specs): Case[] => distinct(specs.map(sparseCase))

export const smokeSparse = (): Case[] => cases(smoke)

export const standardSparse = (): Case[] => {
  const affordable = flashMlaCorrectness.filter(
    ({ batch, topk, extra }) => batch === 4 && topk <= 576 && (extra?.topk ?? 0) <= 576,
  )
  const corners = flashMlaCorner.filter(({ batch }) => batch === 4)
  return cases([...smoke, ...thin(affordable, 30), ...thin(corners, 16), ...ours()])
}

export const fullSparse = (): Case[] =>
  cases([...smoke, ...flashMlaCorrectness, ...flashMlaCorner, ...flashMlaSpeed, ...ours()])
