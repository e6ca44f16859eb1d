import { invalidArgument } from '../errors.js'
import type { KvLayout } from '../kv-cache/formats.js'
import { cacheLayout } from './cache-layout.js'
import { INT32_MAX, integer, oneOf, options } from './checks.js'
import { OUT_DTYPES } from './decode.js'

/**
 * Writes new tokens into the cache: token t becomes [latent[t] | rotate(ropeKey[t])], quantised to the cache's format,
 * at slot `slots[t]` = page · pageSize + offset. A slot outside the cache (−1 by convention) is skipped; of tokens that
 * share a slot, any one may remain.
 *
 * rotate, with (c, s) the cosine and sine row of the token's position, n = ropeDim / 2 and i < n, turns the pair (x, y)
 * into (x·c[i] − y·s[i], y·c[i] + x·s[i]). The pair is (2i, 2i + 1) when `interleaved`, as in DeepSeek's main
 * attention, and (i, i + n) when `neox`. `none`: the keys come rotated.
 */
export interface AppendKvProblem {
  readonly op: 'appendKv'
  /** Largest number of tokens of any launch; ≥ 0. */
  readonly maxTokens: number
  readonly cache: KvLayout
  /** Trailing part of headDim that `ropeKey` brings; even; ≤ headDim. */
  readonly ropeDim: number
  /** dtype of latent and ropeKey. */
  readonly dtype: 'bf16' | 'f16' | 'f32'
  readonly rotary: 'none' | 'interleaved' | 'neox'
  /** Rows of the rotary table; 0 when rotary is `none`. */
  readonly tableLength: number
}

export interface AppendKvOptions {
  readonly maxTokens: number
  readonly cache: KvLayout
  /** Default 64. */
  readonly ropeDim?: number
  /** Default bf16. */
  readonly dtype?: AppendKvProblem['dtype']
  /** Default `none`. */
  readonly rotary?: AppendKvProblem['rotary']
  /** Needed unless rotary is `none`. */
  readonly tableLength?: number
}

/** Validates and completes. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function appendKvProblem(given: AppendKvOptions): AppendKvProblem {
  const o = options('appendKv', given, ['maxTokens', 'cache', 'ropeDim', 'dtype', 'rotary', 'tableLength'])
  const cache = cacheLayout('cache', o.cache)
  const ropeDim = integer('ropeDim', o.ropeDim ?? 64, 0, cache.headDim)
  if (ropeDim % 2 !== 0) throw invalidArgument('ropeDim', 'an even number', ropeDim)
  const rotary = oneOf('rotary', o.rotary ?? 'none', ['none', 'interleaved', 'neox'])
  if (rotary !== 'none' && ropeDim === 0) throw invalidArgument('rotary', 'none when ropeDim is 0', rotary)
  return Object.freeze({
    op: 'appendKv',
    maxTokens: integer('maxTokens', o.maxTokens, 0, INT32_MAX),
    cache,
    ropeDim,
    dtype: oneOf('dtype', o.dtype ?? 'bf16', OUT_DTYPES),
    rotary,
    tableLength: rotary === 'none' ? 0 : integer('tableLength', o.tableLength, 1, INT32_MAX),
  })
}
