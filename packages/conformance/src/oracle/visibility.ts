/** What decides which keys the query tokens of a dense decode see. */
export interface Visibility {
  readonly mask: 'none' | 'causal' | 'tree'
  readonly queryTokens: number
  readonly pages: number
  readonly pageSize: number
  readonly lengths: Int32Array
  /** [batch, width] */
  readonly blockTable: Int32Array
  readonly width: number
  /** [batch, queryTokens, ceil(queryTokens / 32)] for `tree`, else null. */
  readonly treeMask: Int32Array | null
}

/** Keys of a request, in order, that query token `token` sees: inside the length, the mask and the cache. */
export function visibleKeys(v: Visibility, request: number, token: number): Int32Array {
  const keys = new Int32Array(v.lengths[request])
  let count = 0
  for (let key = 0; key < v.lengths[request]; key++) {
    if (inCache(v, request, key) && sees(v, request, token, key)) keys[count++] = key
  }
  return keys.subarray(0, count)
}

/** Whether query token `token` sees a key at all. */
export function seesAny(v: Visibility, request: number, token: number): boolean {
  for (let key = 0; key < v.lengths[request]; key++) {
    if (inCache(v, request, key) && sees(v, request, token, key)) return true
  }
  return false
}

function inCache({ blockTable, width, pages, pageSize }: Visibility, request: number, key: number): boolean {
  const page = blockTable[request * width + Math.floor(key / pageSize)]
  return page >= 0 && page < pages
}

/** The three masks of `DecodeProblem`. */
function sees(v: Visibility, request: number, token: number, key: number): boolean {
  const length = v.lengths[request]
  if (v.mask === 'none') return true
  if (v.mask === 'causal') return key < length - (v.queryTokens - 1 - token)
  const tail = key - (length - v.queryTokens)
  if (tail < 0) return true
  const words = Math.ceil(v.queryTokens / 32)
  const word = (v.treeMask as Int32Array)[(request * v.queryTokens + token) * words + (tail >> 5)]
  return ((word >>> (tail & 31)) & 1) === 1
}
