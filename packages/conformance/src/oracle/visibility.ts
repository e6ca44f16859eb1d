/** Whether a query token sees key j of a request's `length` keys, by the three masks of `DecodeProblem`. */
export interface MaskInputs {
  readonly mask: 'none' | 'causal' | 'tree'
  readonly queryTokens: number
  /** [batch, queryTokens, ceil(queryTokens / 32)] for `tree`. */
  readonly treeMask: Int32Array | null
}

export function sees(inputs: MaskInputs, request: number, token: number, length: number, key: number): boolean {
  const { mask, queryTokens, treeMask } = inputs
  if (key >= length) return false
  if (mask === 'none') return true
  if (mask === 'causal') return key < length - (queryTokens - 1 - token)
  const tail = key - (length - queryTokens)
  if (tail < 0) return true
  const words = Math.ceil(queryTokens / 32)
  const word = (treeMask as Int32Array)[(request * queryTokens + token) * words + (tail >> 5)]
  return ((word >>> (tail & 31)) & 1) === 1
}
