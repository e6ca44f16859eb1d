import type { DecodeProblem, KvFormat } from '@polymla/core'

/** A dense decode, as grids describe it. */
export interface DenseSpec {
  readonly format: KvFormat
  readonly batch: number
  readonly queryTokens: number
  /** Mean number of tokens per request. */
  readonly keys: number
  readonly heads: number
  readonly headsKv: number
  readonly mask: DecodeProblem['mask']
  /**
   * `fixed`: all `keys` long. `varlen`: N(keys, keys / 2), at least queryTokens. `half-empty`: varlen, or 0 half of the
   * time. `edges`: 0, 1, and around page boundaries. `empty`: all 0.
   */
  readonly lengths: 'fixed' | 'varlen' | 'half-empty' | 'edges' | 'empty'
  readonly pageSize: number
  readonly headDim: number
  readonly valueDim: number
  readonly dtype: DecodeProblem['dtype']
  readonly outDtype: DecodeProblem['outDtype']
  /** Storage elements between the end of a page and the start of the next. */
  readonly pageGap: number
  readonly stridedQuery: boolean
  /** Where lengths, block table and tree masks lie. `hostile`: on the device, with ids outside the cache in use. */
  readonly tables: 'host' | 'device' | 'hostile'
  readonly splitPages: number
  /** `flashmla`: q ~ N(0, 1) / 10 and scale d^-½, as its tests; null: q ~ N(0, 1) and a scale that makes peaks. */
  readonly scale: number | 'flashmla' | null
  /** Whether lse is asked for. */
  readonly lse: boolean
  /** How far maxBatch is above batch. */
  readonly slack: number
}

const DEFAULTS: Omit<DenseSpec, 'headDim' | 'dtype' | 'outDtype'> = {
  format: 'bf16',
  batch: 2,
  queryTokens: 1,
  keys: 140,
  heads: 16,
  headsKv: 1,
  mask: 'none',
  lengths: 'fixed',
  pageSize: 64,
  valueDim: 512,
  pageGap: 0,
  stridedQuery: false,
  tables: 'host',
  splitPages: 0,
  scale: null,
  lse: true,
  slack: 0,
}

const QUERY_DTYPE = {
  bf16: 'bf16',
  fp16: 'f16',
  f32: 'f32',
  e4m3: 'e4m3',
  'fp8-656': 'bf16',
  'fp8-584': 'bf16',
} as const

/** Fills in what a grid leaves out. */
export function denseSpec(given: Partial<DenseSpec>): DenseSpec {
  const format = given.format ?? DEFAULTS.format
  const dtype = given.dtype ?? QUERY_DTYPE[format]
  const headDim = format === 'fp8-584' ? 512 : 576
  return { ...DEFAULTS, headDim, dtype, outDtype: dtype === 'e4m3' ? 'bf16' : dtype, ...given }
}

/** E.g. `dense/bf16/b2-s1-k140-h16-kv1-causal-varlen`: whatever differs from the defaults is in it. */
export function denseName(spec: DenseSpec): string {
  const usual = denseSpec({ format: spec.format, dtype: spec.dtype })
  const parts = [
    `b${spec.batch}`,
    `s${spec.queryTokens}`,
    `k${spec.keys}`,
    `h${spec.heads}`,
    `kv${spec.headsKv}`,
    spec.mask === 'none' ? null : spec.mask,
    spec.lengths,
    spec.pageSize === usual.pageSize ? null : `page${spec.pageSize}`,
    spec.headDim === usual.headDim && spec.valueDim === usual.valueDim
      ? null
      : `d${spec.headDim}v${spec.valueDim}`,
    spec.dtype === QUERY_DTYPE[spec.format] ? null : `q.${spec.dtype}`,
    spec.outDtype === usual.outDtype ? null : `out.${spec.outDtype}`,
    spec.pageGap === 0 ? null : `gap${spec.pageGap}`,
    spec.stridedQuery ? 'strided' : null,
    spec.tables === 'host' ? null : spec.tables,
    spec.splitPages === 0 ? null : `split${spec.splitPages}`,
    spec.scale === null ? null : spec.scale === 'flashmla' ? 'mild' : `scale${spec.scale}`,
    spec.lse ? null : 'nolse',
    spec.slack === 0 ? null : `slack${spec.slack}`,
  ]
  return `dense/${spec.format}/${parts.filter((part) => part !== null).join('-')}`
}
