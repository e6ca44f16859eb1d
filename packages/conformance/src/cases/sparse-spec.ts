import type { KvFormat, SparseDecodeProblem } from '@polymla/core'

/** Tokens that the requests of a sparse case choose from, and how. */
export interface SparseKeysSpec {
  readonly format: KvFormat
  /** Tokens per request to choose from. */
  readonly keys: number
  readonly topk: number
  readonly pageSize: number
  readonly topkLength: boolean
}

/** A sparse decode, as grids describe it. */
export interface SparseSpec extends SparseKeysSpec {
  readonly batch: number
  readonly queryTokens: number
  readonly heads: number
  readonly headDim: number
  readonly valueDim: number
  readonly dtype: SparseDecodeProblem['dtype']
  readonly outDtype: SparseDecodeProblem['outDtype']
  readonly extra: SparseKeysSpec | null
  /** `mixed`: finite and ±Infinity. */
  readonly sink: 'none' | 'mixed'
  /** Indices outside the cache: a few, or all. `empty`: topk lengths of 0. */
  readonly invalid: 'some' | 'all' | 'none'
  /** Whether some requests have no keys: a topk length of 0, or without lengths no valid index. */
  readonly zeroLengths: boolean
  readonly pageGap: number
  readonly stridedQuery: boolean
  readonly lengthsOn: 'host' | 'device'
  readonly splitPages: number
  /** `flashmla`: q ~ N(0, 1) / 10 and scale d^-0.55, as its tests; null: q ~ N(0, 1) and a scale that makes peaks. */
  readonly scale: 'flashmla' | null
  readonly lse: boolean
}

const DEFAULTS: Omit<SparseSpec, 'headDim'> = {
  format: 'fp8-656',
  keys: 256,
  topk: 128,
  pageSize: 64,
  topkLength: false,
  batch: 2,
  queryTokens: 1,
  heads: 64,
  valueDim: 512,
  dtype: 'bf16',
  outDtype: 'bf16',
  extra: null,
  sink: 'none',
  invalid: 'some',
  zeroLengths: false,
  pageGap: 0,
  stridedQuery: false,
  lengthsOn: 'host',
  splitPages: 0,
  scale: null,
  lse: true,
}

type SparseGiven = Partial<Omit<SparseSpec, 'extra'>> & { readonly extra?: Partial<SparseKeysSpec> | null }

/** Fills in what a grid leaves out. */
export function sparseSpec(given: SparseGiven): SparseSpec {
  const { format = DEFAULTS.format, dtype = DEFAULTS.dtype } = given
  const extra = given.extra
    ? { format, keys: 128, topk: 64, pageSize: DEFAULTS.pageSize, topkLength: false, ...given.extra }
    : null
  return { ...DEFAULTS, headDim: format === 'fp8-584' ? 512 : 576, outDtype: dtype, ...given, extra }
}

/** E.g. `sparse/fp8-584/b2-s1-h64-k256-top128-len-extra64-sink`. */
export function sparseName(spec: SparseSpec): string {
  const usual = sparseSpec({ format: spec.format, dtype: spec.dtype })
  const { extra } = spec
  const extraParts = extra && [
    `extra${extra.topk}of${extra.keys}`,
    extra.pageSize === usual.pageSize ? null : `page${extra.pageSize}`,
    extra.format === spec.format ? null : extra.format,
    extra.topkLength ? 'len' : null,
  ]
  const parts = [
    `b${spec.batch}`,
    `s${spec.queryTokens}`,
    `h${spec.heads}`,
    `k${spec.keys}`,
    `top${spec.topk}`,
    spec.pageSize === usual.pageSize ? null : `page${spec.pageSize}`,
    spec.topkLength ? 'len' : null,
    ...(extraParts ?? []),
    spec.sink === 'none' ? null : 'sink',
    spec.invalid === 'some' ? null : `${spec.invalid}.invalid`,
    spec.zeroLengths ? 'zeros' : null,
    spec.headDim === usual.headDim && spec.valueDim === usual.valueDim
      ? null
      : `d${spec.headDim}v${spec.valueDim}`,
    spec.dtype === 'bf16' ? null : `q.${spec.dtype}`,
    spec.outDtype === spec.dtype ? null : `out.${spec.outDtype}`,
    spec.pageGap === 0 ? null : `gap${spec.pageGap}`,
    spec.stridedQuery ? 'strided' : null,
    spec.lengthsOn === 'host' ? null : 'device',
    spec.splitPages === 0 ? null : `split${spec.splitPages}`,
    spec.scale === null ? null : 'mild',
    spec.lse ? null : 'nolse',
  ]
  return `sparse/${spec.format}/${parts.filter((part) => part !== null).join('-')}`
}
