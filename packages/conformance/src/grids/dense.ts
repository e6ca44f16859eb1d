import type { Case } from '../cases/case.js'
import { denseCase, invariantCase } from '../cases/dense.js'
import type { DenseSpec } from '../cases/dense-spec.js'
import { distinct, product, thin } from './product.js'

type Specs = readonly Partial<DenseSpec>[]

const FORMATS = ['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'] as const
const MASKS = ['none', 'causal'] as const
const HEADS = { heads: [1, 3, 9, 63, 64, 126, 128], headsKv: [1, 2, 3, 8] } as const
const divides = ({ heads, headsKv }: { heads: number; headsKv: number }) => heads % headsKv === 0

/** FlashMLA's dense tests (9241ae3). */
function flashMla(format: 'bf16' | 'fp16', limits: { batch: number; keys: number }): Specs {
  return product({
    format: [format],
    batch: [1, 2, 6, 64].filter((batch) => batch <= limits.batch),
    queryTokens: [1, 2, 4],
    keys: [20, 140, 4096].filter((keys) => keys <= limits.keys),
    ...HEADS,
    lengths: ['fixed', 'varlen'] as const,
    mask: MASKS,
    scale: ['flashmla'] as const,
  }).filter(divides)
}

/** Many requests, half of them without keys. */
const flashMlaCorner: Specs = product({
  batch: [128],
  queryTokens: [2],
  keys: [4096],
  lengths: ['half-empty'] as const,
  ...HEADS,
  mask: MASKS,
  scale: ['flashmla'] as const,
}).filter(divides)

/** Dense fp8 tests of the vLLM fork (46d64a8). */
const flashMlaFp8: Specs = product({
  format: ['e4m3'] as const,
  batch: [1, 2, 6, 64],
  queryTokens: [1, 2, 4],
  keys: [20, 140, 4096],
  heads: [128],
  lengths: ['fixed', 'varlen'] as const,
  mask: MASKS,
  scale: ['flashmla'] as const,
})

/** One case per property, in seconds. Faults are caught by these. */
const smoke: Specs = [
  { lengths: 'varlen' },
  { batch: 8, queryTokens: 2, mask: 'causal', lengths: 'edges' },
  { batch: 8, lengths: 'edges' },
  { batch: 3, queryTokens: 5, mask: 'tree', lengths: 'varlen' },
  { batch: 3, keys: 200, lengths: 'varlen', tables: 'hostile' },
  { keys: 1500, lengths: 'varlen' },
  { heads: 127, lengths: 'varlen' },
  { heads: 6, headsKv: 3, lengths: 'varlen' },
  { lengths: 'varlen', pageGap: 64 },
  { lengths: 'varlen', stridedQuery: true },
  { lengths: 'varlen', tables: 'device' },
  { lengths: 'varlen', splitPages: 1, keys: 400 },
  { lengths: 'varlen', pageSize: 16 },
  { lengths: 'empty' },
  { batch: 0 },
  { headDim: 512, lengths: 'varlen' },
  ...FORMATS.slice(1).map((format) => ({
    format,
    lengths: 'varlen' as const,
    queryTokens: 2,
    mask: 'causal' as const,
  })),
]

/** What FlashMLA's tests leave out. */
function ours(): Specs {
  const varlen = { lengths: 'varlen' as const }
  const edges = { batch: 8, lengths: 'edges' as const }
  const small = { batch: 3, keys: 200, ...varlen }
  return [
    ...product({ heads: [1, 2, 3, 7, 8, 9, 16, 17, 20, 32, 63, 96, 127, 128, 130], queryTokens: [1, 3] }).map(
      (given) => ({
        ...varlen,
        mask: 'causal' as const,
        ...given,
      }),
    ),
    ...product({ format: FORMATS, pageSize: [1, 2, 16, 32, 61, 69, 128, 576] }).map((given) => ({
      ...edges,
      ...given,
    })),
    ...product({ format: FORMATS, queryTokens: [1, 2, 4], mask: MASKS }).map((given) => ({
      ...edges,
      ...given,
    })),
    ...product({ queryTokens: [1, 2, 3, 8, 31, 32, 33, 64], heads: [5, 16] }).map((given) => ({
      ...small,
      mask: 'tree' as const,
      ...given,
    })),
    ...product({ format: ['bf16', 'e4m3'] as const, mask: ['tree'] as const, queryTokens: [3, 33] }).map(
      (given) => ({ ...edges, heads: 5, ...given }),
    ),
    ...product({ format: FORMATS, mask: ['none', 'causal', 'tree'] as const, queryTokens: [1, 4] }).map(
      (given) => ({
        ...small,
        tables: 'hostile' as const,
        ...given,
      }),
    ),
    ...product({ format: FORMATS, tables: ['device'] as const, mask: MASKS, splitPages: [0, 2] }).map(
      (given) => ({
        ...small,
        queryTokens: 2,
        ...given,
      }),
    ),
    ...product({ format: FORMATS, pageGap: [64], stridedQuery: [true], pageSize: [16, 64] }).map((given) => ({
      ...edges,
      queryTokens: 3,
      ...given,
    })),
    ...[
      [320, 256],
      [512, 512],
      [576, 576],
      [576, 64],
      [256, 256],
      [192, 128],
      [16, 16],
    ].flatMap(([headDim, valueDim]) =>
      (['bf16', 'fp16', 'f32', 'e4m3'] as const).map((format) => ({
        ...small,
        format,
        headDim,
        valueDim,
        queryTokens: 2,
        mask: 'causal' as const,
      })),
    ),
    ...product({ format: ['bf16', 'e4m3'] as const, headsKv: [2, 3, 4, 8], queryTokens: [1, 3] }).map(
      (given) => ({
        ...small,
        heads: 24,
        mask: 'causal' as const,
        ...given,
      }),
    ),
    ...product({
      format: ['bf16', 'fp16', 'e4m3', 'fp8-656'] as const,
      outDtype: ['f32', 'bf16', 'f16'] as const,
    }).map((given) => ({ ...small, ...given })),
    ...product({
      format: ['bf16', 'fp16', 'f32', 'e4m3'] as const,
      dtype: ['bf16', 'f16', 'f32'] as const,
    }).map((given) => ({
      ...small,
      outDtype: given.dtype,
      ...given,
    })),
    // The last gives logits whose exponentials no 32-bit number holds.
    ...[0, -0.2, 1e-5, 1e-3, 4, 40].map((scale) => ({
      ...small,
      scale,
      mask: 'causal' as const,
      queryTokens: 2,
    })),
    ...product({ splitPages: [1, 2, 7], format: ['bf16', 'e4m3'] as const, pageSize: [16, 64] }).map(
      (given) => ({
        ...small,
        keys: 500,
        ...given,
      }),
    ),
    ...FORMATS.flatMap((format) => [
      { format, lengths: 'empty' as const, queryTokens: 2 },
      { format, batch: 0 },
      { format, keys: 1, lengths: 'fixed' as const, queryTokens: 4, mask: 'causal' as const },
      { format, ...small, lse: false, slack: 3 },
      { format, batch: 40, keys: 70, heads: 8, lengths: 'half-empty' as const },
    ]),
    // A mask that is wrong past some length hides many keys only from the first of many query tokens.
    { batch: 1, keys: 9000, heads: 2, queryTokens: 64, mask: 'causal' },
    { batch: 300, keys: 20, heads: 4, ...varlen },
    { batch: 2, keys: 3000, heads: 4, format: 'e4m3', ...varlen },
  ]
}

const invariants: Specs = [
  { keys: 400 },
  { keys: 900, splitPages: 1, format: 'fp16', heads: 7 },
  { keys: 500, splitPages: 3, format: 'e4m3', queryTokens: 2, mask: 'causal' },
  { keys: 300, splitPages: 5, format: 'f32', pageSize: 16 },
]

const cases = (specs: Specs): Case[] => distinct(specs.map(denseCase))

export const smokeDense = (): Case[] => [...cases(smoke), invariantCase(invariants[0])]

export const standardDense = (): Case[] => [
  ...cases([
    ...smoke,
    ...thin(flashMla('bf16', { batch: 6, keys: 140 }), 100),
    ...thin(flashMla('fp16', { batch: 6, keys: 140 }), 40),
    ...thin(
      flashMla('bf16', { batch: 2, keys: 4096 }).filter(
        ({ keys, heads = 0 }) => keys === 4096 && heads <= 64,
      ),
      12,
    ),
    ...thin(
      flashMlaFp8.filter(({ batch, keys }) => (batch ?? 0) <= 6 && (keys ?? 0) <= 140),
      10,
    ),
    ...ours(),
  ]),
  ...invariants.map(invariantCase),
]

export const fullDense = (): Case[] => [
  ...cases([
    ...smoke,
    ...flashMla('bf16', { batch: 64, keys: 4096 }),
    ...flashMla('fp16', { batch: 64, keys: 4096 }),
    ...flashMlaCorner,
    ...flashMlaFp8,
    ...ours(),
  ]),
  ...invariants.map(invariantCase),
]
