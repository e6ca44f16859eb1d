import { type DecodeProblem, decodeInto, type FloatDType, type HostArray, readToken } from '@polymla/core'
import { attend } from './attend.js'
import { ExpectedRows, type Row } from './rows.js'
import { type Visibility, visibleKeys } from './visibility.js'

/** Everything a dense decode computes from, on the host. */
export interface DenseInputs extends Visibility {
  readonly problem: DecodeProblem
  readonly batch: number
  /** [batch, queryTokens, heads, headDim] */
  readonly q: HostArray<FloatDType>
  /** Storage of the problem's cache layout. */
  readonly storage: HostArray
  readonly descaleQ: number
  readonly descaleK: number
}

/** Results of the chosen rows (ordered by request, then token), each from the definition in `DecodeProblem`. */
export function denseOracle(inputs: DenseInputs, rows: readonly Row[]): ExpectedRows {
  const { problem, q, descaleQ } = inputs
  const { heads, queryTokens, valueDim, dtype, softmaxScale } = problem
  const { headDim, headsKv } = problem.cache
  const expected = new ExpectedRows(rows, valueDim)
  const query = new Float64Array(headDim)
  const keys = new RequestKeys(inputs)
  rows.forEach(({ request, token, head }, i) => {
    const position = (request * queryTokens + token) * heads + head
    decodeInto(q, position * headDim, query, 0, headDim, dtype)
    const visible = keys.visibleTo(request, token, Math.floor(head / (heads / headsKv)))
    expected.set(i, attend(query, visible.keys, visible.count, valueDim, softmaxScale * descaleQ))
  })
  return expected
}

/** 1 for every row that sees no key, as [batch, heads, queryTokens]. */
export function denseEmptyRows(inputs: DenseInputs): Uint8Array {
  const { heads, queryTokens } = inputs.problem
  const empty = new Uint8Array(inputs.batch * heads * queryTokens)
  for (let request = 0; request < inputs.batch; request++) {
    for (let token = 0; token < queryTokens; token++) {
      if (visibleKeys(inputs, request, token).length > 0) continue
      for (let head = 0; head < heads; head++) empty[(request * heads + head) * queryTokens + token] = 1
    }
  }
  return empty
}

/** The dequantised keys that a query token sees; remembers those of one request, token and KV head at a time. */
class RequestKeys {
  readonly #inputs: DenseInputs
  readonly #ofHead = new Map<number, { keys: Float64Array; count: number }>()
  #of = ''

  constructor(inputs: DenseInputs) {
    this.#inputs = inputs
  }

  visibleTo(request: number, token: number, headKv: number): { keys: Float64Array; count: number } {
    // Without a mask all tokens of a request see the same.
    const of = this.#inputs.mask === 'none' ? `${request}` : `${request} ${token}`
    if (this.#of !== of) this.#ofHead.clear()
    this.#of = of
    const known = this.#ofHead.get(headKv)
    if (known) return known
    const read = this.#read(request, token, headKv)
    this.#ofHead.set(headKv, read)
    return read
  }

  #read(request: number, token: number, headKv: number): { keys: Float64Array; count: number } {
    const { problem, storage, blockTable, width, descaleK } = this.#inputs
    const { cache } = problem
    const visible = visibleKeys(this.#inputs, request, token)
    const keys = new Float64Array(visible.length * cache.headDim)
    visible.forEach((key, i) => {
      const page = blockTable[request * width + Math.floor(key / cache.pageSize)]
      readToken(cache, storage, page, key % cache.pageSize, headKv, keys, i * cache.headDim, descaleK)
    })
    return { keys, count: visible.length }
  }
}
