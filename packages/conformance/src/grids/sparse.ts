import type { Case } from '../cases/case.js'
import { sparseCase } from '../cases/sparse-decode.js'
import type { sparseSpec } from '../cases/sparse-spec.js'
import { product, thin } from './product.js'

type Specs = readonly Parameters<typeof sparseSpec>[0][]

/** What FlashMLA's tests (9241ae3) choose indices from: tokens, topk, page size. */
const SHAPES = [
  [512, 64, 2],
  [512, 64, 64],
  [512, 64, 69],
  [1024, 576, 2],
  [1024, 576, 61],
  [2046, 2048, 2],
  [2046, 2048, 64],
  [2046, 2048, 576],
].map(([keys, topk, pageSize]) => ({ keys, topk, pageSize }))

/** The formats of FlashMLA's tests with what each has: lengths and an extra cache for 584 bytes only. */
function variants(): Specs {
  const plain = { format: 'fp8-656' as const }
  const extras = SHAPES.flatMap((shape) => [false, true].map((topkLength) => ({ ...shape, topkLength })))
  return [
    plain,
    ...product({ format: ['fp8-584'] as const, topkLength: [false, true], extra: [null, ...extras] }),
  ]
}

function flashMla(limits: { batch: number; topk: number }): Specs {
  const bases = product({ shape: SHAPES, heads: [64, 128], queryTokens: [1, 3], batch: [4, 74, 321] })
  return variants()
    .flatMap((variant) => bases.map(({ shape, ...base }) => ({ ...variant, ...shape, ...base })))
    .filter(
      ({ batch, topk, extra }) =>
        batch <= limits.batch && topk <= limits.topk && (extra?.topk ?? 0) <= limits.topk,
    )
    .map((given) => ({ ...given, sink: 'mixed' as const, scale: 'flashmla' as const }))
}

/** All indices invalid, and lengths of 0. */
const corners: Specs = product({
  format: ['fp8-656', 'fp8-584'] as const,
  shape: [
    { keys: 512, topk: 64, pageSize: 61 },
    { keys: 650, topk: 576, pageSize: 53 },
  ],
  heads: [64, 128],
  invalid: ['all', 'some'] as const,
  topkLength: [true, false],
  sink: ['mixed', 'none'] as const,
  withExtra: [false, true],
}).map(({ shape, withExtra, ...given }) => ({
  ...given,
  ...shape,
  batch: 4,
  queryTokens: 3,
  zeroLengths: true,
  scale: 'flashmla' as const,
  extra: withExtra ? { ...shape, topkLength: given.topkLength } : null,
}))

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

const unique = (specs: Specs): Case[] => [
  ...new Map(specs.map((spec) => sparseCase(spec)).map((one) => [one.name, one])).values(),
]

export const smokeSparse = (): Case[] => unique(smoke)

export const standardSparse = (): Case[] =>
  unique([...smoke, ...thin(flashMla({ batch: 4, topk: 576 }), 30), ...thin(corners, 12), ...ours()])

export const fullSparse = (): Case[] =>
  unique([...smoke, ...flashMla({ batch: 321, topk: 2048 }), ...corners, ...ours()])
