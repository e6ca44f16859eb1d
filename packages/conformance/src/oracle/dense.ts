import { decodeInto, type DecodeProblem, type HostArray, readToken } from '@polymla/core'
import { attend } from './attend.js'
import { ExpectedRows, type Row } from './rows.js'
import { sees } from './visibility.js'

/** Everything a dense decode computes from, on the host. */
export interface DenseInputs {
  readonly problem: DecodeProblem
  readonly batch: number
  /** [batch, queryTokens, heads, headDim] */
  readonly q: HostArray
  /** Storage of the problem's cache layout. */
  readonly storage: HostArray
  readonly lengths: Int32Array
  /** [batch, width] */
  readonly blockTable: Int32Array
  readonly width: number
  readonly treeMask: Int32Array | null
  readonly descaleQ: number
  readonly descaleK: number
}

/** Results of the chosen rows (ordered by request), each from the definition in `DecodeProblem`. */
export function denseOracle(inputs: DenseInputs, rows: readonly Row[]): ExpectedRows {
  const { problem, q } = inputs
  const { heads, queryTokens, valueDim } = problem
  const { headDim, headsKv } = problem.cache
  const expected = new ExpectedRows(rows, valueDim)
  const query = new Float64Array(headDim)
  const keys = new RequestKeys(inputs)
  rows.forEach(({ request, token, head }, i) => {
    const position = (request * queryTokens + token) * heads + head
    decodeInto(q as never, position * headDim, query, 0, headDim, problem.dtype)
    const visible = keys.visibleTo(request, token, Math.floor(head / (heads / headsKv)))
    const scale = problem.softmaxScale * inputs.descaleQ
    expected.set(i, attend(query, visible.keys, visible.count, valueDim, scale))
  })
  return expected
}

/** Whether each row sees any key, as [batch, heads, queryTokens]. */
export function denseEmptyRows(inputs: DenseInputs): Uint8Array {
  const { problem, batch, lengths } = inputs
  const { queryTokens, heads } = problem
  const empty = new Uint8Array(batch * heads * queryTokens)
  for (let request = 0; request < batch; request++) {
    for (let token = 0; token < queryTokens; token++) {
      let key = 0
      while (key < lengths[request] && !isVisible(inputs, request, token, key)) key++
      if (key < lengths[request]) continue
      for (let head = 0; head < heads; head++) empty[(request * heads + head) * queryTokens + token] = 1
    }
  }
  return empty
}

function isVisible(inputs: DenseInputs, request: number, token: number, key: number): boolean {
  const { problem, lengths, blockTable, width, treeMask } = inputs
  const page = blockTable[request * width + Math.floor(key / problem.cache.pageSize)]
  if (page < 0 || page >= problem.cache.pages) return false
  return sees({ ...problem, treeMask }, request, token, lengths[request], key)
}

/** Dequantised keys of one request and KV head at a time, and those of them that a query token sees. */
class RequestKeys {
  readonly #inputs: DenseInputs
  #of = ''
  #seenBy = ''
  #all = new Float64Array(0)
  #seen = new Float64Array(0)
  #count = 0

  constructor(inputs: DenseInputs) {
    this.#inputs = inputs
  }

  visibleTo(request: number, token: number, headKv: number): { keys: Float64Array; count: number } {
    const { problem, lengths } = this.#inputs
    const { headDim } = problem.cache
    const length = lengths[request]
    const of = `${request} ${headKv}`
    if (this.#of !== of) this.#read(request, headKv)
    if (this.#seenBy !== `${of} ${token}`) {
      if (this.#seen.length < length * headDim) this.#seen = new Float64Array(length * headDim)
      this.#count = 0
      for (let key = 0; key < length; key++) {
        if (!isVisible(this.#inputs, request, token, key)) continue
        this.#seen.set(this.#all.subarray(key * headDim, (key + 1) * headDim), this.#count++ * headDim)
      }
      this.#seenBy = `${of} ${token}`
    }
    this.#of = of
    return { keys: this.#seen, count: this.#count }
  }

  #read(request: number, headKv: number): void {
    const { problem, storage, lengths, blockTable, width, descaleK } = this.#inputs
    const { cache } = problem
    const length = lengths[request]
    if (this.#all.length < length * cache.headDim) this.#all = new Float64Array(length * cache.headDim)
    for (let key = 0; key < length; key++) {
      const page = blockTable[request * width + Math.floor(key / cache.pageSize)]
      if (page < 0 || page >= cache.pages) continue
      readToken(cache, storage, page, key % cache.pageSize, headKv, this.#all, key * cache.headDim, descaleK)
    }
  }
}
