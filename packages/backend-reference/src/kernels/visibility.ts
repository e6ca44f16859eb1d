import type { DecodeProblem } from '@polymla/core'

/**
 * Whether query token s of a request with `length` keys sees key j:
 *
 *     none     j < length
 *     causal   j < length − (queryTokens − 1 − s)
 *     tree     j < length − queryTokens, or bit j − (length − queryTokens) of the token's mask row is set
 */
export function sees(
  { mask, queryTokens }: Pick<DecodeProblem, 'mask' | 'queryTokens'>,
  length: number,
  s: number,
  maskRow: Int32Array | null,
  j: number,
): boolean {
  if (j < 0 || j >= length) return false
  if (mask === 'none') return true
  if (mask === 'causal') return j < length - (queryTokens - 1 - s)
  const bit = j - (length - queryTokens)
  return bit < 0 || ((maskRow?.[bit >> 5] ?? 0) >>> (bit & 31)) % 2 === 1
}
