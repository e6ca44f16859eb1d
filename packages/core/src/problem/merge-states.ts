import { headDim, integer, oneOf, options } from './checks.js'
import { OUT_DTYPES } from './decode.js'

/**
 * Combines partial attention results over disjoint keys. With L the largest lse of a row's parts:
 *
 *     w[p] = exp(lse[p] − L),   out = Σ w[p]·out[p] / Σ w[p],   lse = L + ln Σ w[p]
 *
 * A part whose lse is ±Infinity or NaN is empty: it contributes nothing, whatever its out holds. No part left: out = 0,
 * lse = +Infinity. Parts are added in order, so results are reproducible. lse is the natural log; a part from a library
 * that returns base 2 must be multiplied by ln 2 first.
 */
export interface MergeStatesProblem {
  readonly op: 'mergeStates'
  readonly parts: number
  readonly batch: number
  readonly queryTokens: number
  readonly heads: number
  readonly valueDim: number
  /** dtype of the partial outs. */
  readonly dtype: 'bf16' | 'f16' | 'f32'
  readonly outDtype: 'bf16' | 'f16' | 'f32'
}

export interface MergeStatesOptions {
  readonly parts: number
  readonly batch: number
  /** Default 1. */
  readonly queryTokens?: number
  readonly heads: number
  /** Default 512. */
  readonly valueDim?: number
  /** Default f32. */
  readonly dtype?: MergeStatesProblem['dtype']
  /** Default: `dtype`. */
  readonly outDtype?: MergeStatesProblem['outDtype']
}

/** Validates and completes. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function mergeStatesProblem(given: MergeStatesOptions): MergeStatesProblem {
  const o = options('mergeStates', given, [
    'parts',
    'batch',
    'queryTokens',
    'heads',
    'valueDim',
    'dtype',
    'outDtype',
  ])
  const dtype = oneOf('dtype', o.dtype ?? 'f32', OUT_DTYPES)
  return Object.freeze({
    op: 'mergeStates',
    parts: integer('parts', o.parts, 0),
    batch: integer('batch', o.batch, 0),
    queryTokens: integer('queryTokens', o.queryTokens ?? 1, 1),
    heads: integer('heads', o.heads, 1),
    valueDim: headDim('valueDim', o.valueDim ?? 512),
    dtype,
    outDtype: oneOf('outDtype', o.outDtype ?? dtype, OUT_DTYPES),
  })
}
