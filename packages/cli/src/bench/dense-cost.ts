import { type DecodeProblem, itemSize, tokenBytes } from '@polymla/core'
import type { Cost } from './work.js'

/** What a dense decode of `batch` requests with `keys` tokens in all comes to. */
export function denseCost(problem: DecodeProblem, batch: number, keys: number): Cost {
  const { queryTokens, heads, valueDim, dtype, outDtype, cache } = problem
  const rows = batch * queryTokens * heads
  const rowBytes = cache.headDim * itemSize(dtype) + valueDim * itemSize(outDtype)
  return {
    flop: 2 * queryTokens * heads * keys * (cache.headDim + valueDim),
    bytes: rows * rowBytes + keys * cache.headsKv * tokenBytes(cache),
  }
}
