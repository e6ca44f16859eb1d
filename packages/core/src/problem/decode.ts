import type { KvLayout } from '../kv-cache/formats.js'
import { cacheLayout } from './cache-layout.js'
import { headsPerGroup, INT32_MAX, integer, oneOf, options, softmaxScale, valueDim } from './checks.js'

/**
 * Dense MLA decode over a paged cache. For request b, query token s and head h, with key j a token of the request and
 * v its first `valueDim` numbers:
 *
 *     score[j] = softmaxScale · descaleQ · descaleK · q[b,s,h] · k[j]        for every visible j
 *     lse      = ln Σ exp(score[j]),   out = Σ exp(score[j] − lse) · v[j]
 *
 * Nothing visible: out = 0, lse = +Infinity. KV head h / (heads / headsKv) serves head h.
 * Semantics after FlashMLA 9241ae3 (dense decode), extended to any head count, width and page size.
 */
export interface DecodeProblem {
  readonly op: 'decode'
  /** Largest batch of any update; ≥ 0. */
  readonly maxBatch: number
  /** Query tokens per request (s_q); ≥ 1. */
  readonly queryTokens: number
  /** Query heads (h_q), a multiple of `cache.headsKv`. */
  readonly heads: number
  /** Width of values and output (d_v); ≤ cache.headDim. */
  readonly valueDim: number
  /** dtype of q. */
  readonly dtype: 'bf16' | 'f16' | 'f32' | 'e4m3'
  readonly outDtype: 'bf16' | 'f16' | 'f32'
  readonly cache: KvLayout
  /** Columns of the block table: the longest request has blockTableWidth · pageSize tokens. */
  readonly blockTableWidth: number
  /**
   * Which of a request's `length` keys query token s sees. `none`: all. `causal`: j < length − (queryTokens − 1 − s).
   * `tree`: j < length − queryTokens, and key length − queryTokens + t where bit t of its mask row is set.
   */
  readonly mask: 'none' | 'causal' | 'tree'
  readonly softmaxScale: number
  /**
   * Pages per split. 0 balances splits over the whole batch; any other value fixes where each request is cut, so a
   * request gives the same bits alone and in any batch.
   */
  readonly splitPages: number
}

/** {@link DecodeProblem} as users write it: what has a safe default may be left out. */
export interface DecodeOptions {
  readonly maxBatch: number
  /** Default 1. */
  readonly queryTokens?: number
  readonly heads: number
  /** Default 512. */
  readonly valueDim?: number
  /** Default: the dtype of a plain cache, bf16 for the packed fp8 formats. */
  readonly dtype?: DecodeProblem['dtype']
  /** Default: `dtype`, bf16 when that is e4m3. */
  readonly outDtype?: DecodeProblem['outDtype']
  readonly cache: KvLayout
  readonly blockTableWidth: number
  /** Default `none`. */
  readonly mask?: DecodeProblem['mask']
  /** No default: see `softmaxScaleFromConfig`. */
  readonly softmaxScale: number
  /** Default 0. */
  readonly splitPages?: number
}

const QUERY_DTYPES = ['bf16', 'f16', 'f32', 'e4m3'] as const
export const OUT_DTYPES = ['bf16', 'f16', 'f32'] as const
/** The dtype a query has unless it is said otherwise. */
function defaultQueryDtype(layout: KvLayout): DecodeProblem['dtype'] {
  switch (layout.format) {
    case 'fp16':
      return 'f16'
    case 'f32':
      return 'f32'
    case 'e4m3':
      return 'e4m3'
    default:
      return 'bf16'
  }
}

/** Validates and completes. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function decodeProblem(given: DecodeOptions): DecodeProblem {
  const o = options('decode', given, [
    'maxBatch',
    'queryTokens',
    'heads',
    'valueDim',
    'dtype',
    'outDtype',
    'cache',
    'blockTableWidth',
    'mask',
    'softmaxScale',
    'splitPages',
  ])
  const cache = cacheLayout('cache', o.cache)
  const dtype = oneOf('dtype', o.dtype ?? defaultQueryDtype(cache), QUERY_DTYPES)
  return Object.freeze({
    op: 'decode',
    maxBatch: integer('maxBatch', o.maxBatch, 0, INT32_MAX),
    queryTokens: integer('queryTokens', o.queryTokens ?? 1, 1, INT32_MAX),
    heads: headsPerGroup('heads', o.heads, cache.headsKv),
    valueDim: valueDim('valueDim', o.valueDim ?? 512, cache),
    dtype,
    outDtype: oneOf('outDtype', o.outDtype ?? (dtype === 'e4m3' ? 'bf16' : dtype), OUT_DTYPES),
    cache,
    blockTableWidth: integer('blockTableWidth', o.blockTableWidth, 0, INT32_MAX),
    mask: oneOf('mask', o.mask ?? 'none', ['none', 'causal', 'tree']),
    softmaxScale: softmaxScale('softmaxScale', o.softmaxScale),
    splitPages: integer('splitPages', o.splitPages ?? 0, 0, INT32_MAX),
  })
}
