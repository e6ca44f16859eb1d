import {
  boolean,
  headDim,
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
 * Attention of ragged queries over gathered, unpaged keys: query token s sees kv[indices[s, 0, i]] for
 * i < topkLength[s], an index outside [0, keys) being invisible. Sink and empty rows as in `sparseDecode`; also returns
 * the largest scaled logit of each row, −Infinity for an empty one.
 * Semantics after FlashMLA 9241ae3 (sparse prefill; its code and tests use the natural log), with any top-k and head count.
 */
export interface SparsePrefillProblem {
  readonly op: 'sparsePrefill'
  /** Query tokens, all requests together (s_q); ≥ 0. */
  readonly queryTokens: number
  readonly heads: number
  /** Tokens in kv (s_kv); ≥ 0. */
  readonly keys: number
  readonly headDim: number
  readonly valueDim: number
  /** dtype of q and kv. */
  readonly dtype: 'bf16' | 'f16' | 'f32'
  readonly outDtype: 'bf16' | 'f16' | 'f32'
  readonly topk: number
  readonly topkLength: boolean
  readonly sink: boolean
  readonly softmaxScale: number
}

export interface SparsePrefillOptions {
  readonly queryTokens: number
  readonly heads: number
  readonly keys: number
  /** Default 576. */
  readonly headDim?: number
  /** Default 512. */
  readonly valueDim?: number
  /** Default bf16. */
  readonly dtype?: SparsePrefillProblem['dtype']
  /** Default: `dtype`. */
  readonly outDtype?: SparsePrefillProblem['outDtype']
  readonly topk: number
  /** Default false. */
  readonly topkLength?: boolean
  /** Default false. */
  readonly sink?: boolean
  readonly softmaxScale: number
}

/** Validates and completes. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function sparsePrefillProblem(given: SparsePrefillOptions): SparsePrefillProblem {
  const o = options('sparsePrefill', given, [
    'queryTokens',
    'heads',
    'keys',
    'headDim',
    'valueDim',
    'dtype',
    'outDtype',
    'topk',
    'topkLength',
    'sink',
    'softmaxScale',
  ])
  const width = headDim('headDim', o.headDim ?? 576)
  const dtype = oneOf('dtype', o.dtype ?? 'bf16', OUT_DTYPES)
  return Object.freeze({
    op: 'sparsePrefill',
    queryTokens: integer('queryTokens', o.queryTokens, 0),
    heads: headsPerGroup('heads', o.heads, 1),
    keys: integer('keys', o.keys, 0, INT32_MAX),
    headDim: width,
    valueDim: valueDim('valueDim', o.valueDim ?? 512, { headDim: width }),
    dtype,
    outDtype: oneOf('outDtype', o.outDtype ?? dtype, OUT_DTYPES),
    topk: integer('topk', o.topk, 0, INT32_MAX),
    topkLength: boolean('topkLength', o.topkLength ?? false),
    sink: boolean('sink', o.sink ?? false),
    softmaxScale: softmaxScale('softmaxScale', o.softmaxScale),
  })
}
