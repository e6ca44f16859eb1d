import { invalidArgument } from '../errors.js'
import type { KvLayout } from '../kv-cache/formats.js'
import { cacheLayout } from './cache-layout.js'
import {
  boolean,
  headsPerGroup,
  INT32_MAX,
  integer,
  oneOf,
  options,
  softmaxScale,
  valueDim,
} from './checks.js'
import { OUT_DTYPES } from './decode.js'

/**
 * Decode over chosen tokens. As {@link DecodeProblem}, but query token (b, s) sees exactly the cache tokens that
 * `indices[b, s]` names (page · pageSize + offset), then those of the extra cache, under one softmax. An index outside
 * the cache is invisible; one that occurs twice counts twice. Heads share their indices.
 * The sink is one more logit per head without a value: out ·= 1 / (1 + exp(sink − lse)); lse excludes it. A row that
 * sees nothing gives out = 0 and lse = +Infinity whatever the sink.
 * Semantics after FlashMLA 9241ae3 (sparse decode), with any top-k and head count, and topk lengths and an extra cache
 * for every format.
 */
export interface SparseDecodeProblem {
  readonly op: 'sparseDecode'
  readonly maxBatch: number
  readonly queryTokens: number
  readonly heads: number
  readonly valueDim: number
  readonly dtype: 'bf16' | 'f16' | 'f32'
  readonly outDtype: 'bf16' | 'f16' | 'f32'
  /** headsKv is 1. */
  readonly cache: KvLayout
  /** Indices per query token; ≥ 0. */
  readonly topk: number
  /** Whether a launch brings, per request, how many leading indices count. */
  readonly topkLength: boolean
  /** A second cache under the same softmax, of its own page size; same headDim. */
  readonly extra: SparseExtra | null
  readonly sink: boolean
  readonly softmaxScale: number
  readonly splitPages: number
}

export interface SparseExtra {
  readonly cache: KvLayout
  readonly topk: number
  readonly topkLength: boolean
}

export interface SparseDecodeOptions {
  readonly maxBatch: number
  /** Default 1. */
  readonly queryTokens?: number
  readonly heads: number
  /** Default 512. */
  readonly valueDim?: number
  /** Default bf16. */
  readonly dtype?: SparseDecodeProblem['dtype']
  /** Default: `dtype`. */
  readonly outDtype?: SparseDecodeProblem['outDtype']
  readonly cache: KvLayout
  readonly topk: number
  /** Default false. */
  readonly topkLength?: boolean
  /** Default null. */
  readonly extra?: { readonly cache: KvLayout; readonly topk: number; readonly topkLength?: boolean } | null
  /** Default false. */
  readonly sink?: boolean
  readonly softmaxScale: number
  /** Default 0. */
  readonly splitPages?: number
}

/** Validates and completes. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function sparseDecodeProblem(given: SparseDecodeOptions): SparseDecodeProblem {
  const o = options('sparseDecode', given, [
    'maxBatch',
    'queryTokens',
    'heads',
    'valueDim',
    'dtype',
    'outDtype',
    'cache',
    'topk',
    'topkLength',
    'extra',
    'sink',
    'softmaxScale',
    'splitPages',
  ])
  const cache = oneHead('cache', cacheLayout('cache', o.cache))
  const dtype = oneOf('dtype', o.dtype ?? 'bf16', OUT_DTYPES)
  return Object.freeze({
    op: 'sparseDecode',
    maxBatch: integer('maxBatch', o.maxBatch, 0, INT32_MAX),
    queryTokens: integer('queryTokens', o.queryTokens ?? 1, 1, INT32_MAX),
    heads: headsPerGroup('heads', o.heads, 1),
    valueDim: valueDim('valueDim', o.valueDim ?? 512, cache),
    dtype,
    outDtype: oneOf('outDtype', o.outDtype ?? dtype, OUT_DTYPES),
    cache,
    topk: integer('topk', o.topk, 0, INT32_MAX),
    topkLength: boolean('topkLength', o.topkLength ?? false),
    extra: o.extra === undefined || o.extra === null ? null : sparseExtra(o.extra, cache),
    sink: boolean('sink', o.sink ?? false),
    softmaxScale: softmaxScale('softmaxScale', o.softmaxScale),
    splitPages: integer('splitPages', o.splitPages ?? 0, 0, INT32_MAX),
  })
}

function sparseExtra(given: NonNullable<SparseDecodeOptions['extra']>, main: KvLayout): SparseExtra {
  const o = options('extra', given, ['cache', 'topk', 'topkLength'])
  const cache = oneHead('extra.cache', cacheLayout('extra.cache', o.cache))
  if (cache.headDim !== main.headDim) {
    throw invalidArgument('extra.cache.headDim', `the main cache's ${main.headDim}`, cache.headDim)
  }
  return Object.freeze({
    cache,
    topk: integer('extra.topk', o.topk, 0, INT32_MAX),
    topkLength: boolean('extra.topkLength', o.topkLength ?? false),
  })
}

function oneHead(path: string, layout: KvLayout): KvLayout {
  if (layout.headsKv !== 1) throw invalidArgument(`${path}.headsKv`, '1 for sparse attention', layout.headsKv)
  return layout
}
