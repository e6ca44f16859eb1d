import { type DecodeProblem, decodeInto, type FloatDType, type HostArray } from '@polymla/core'
import { attend } from './attend.js'
import { KeyStore } from './key-store.js'
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
  const { problem, q, descaleQ, descaleK } = inputs
  const { heads, queryTokens, valueDim, dtype, softmaxScale } = problem
  const { headDim, headsKv } = problem.cache
  const expected = new ExpectedRows(rows, valueDim)
  const query = new Float64Array(headDim)
  const keys = new KeyStore([{ layout: problem.cache, storage: inputs.storage }], descaleK)
  let visible: readonly number[] = []
  let of = -1
  rows.forEach(({ request, token, head }, i) => {
    const queryToken = request * queryTokens + token
    if (of !== queryToken) visible = visibleTokens(inputs, request, token)
    of = queryToken
    decodeInto(q, (queryToken * heads + head) * headDim, query, 0, headDim, dtype)
    const headKv = Math.floor(head / (heads / headsKv))
    const keyRows = visible.map((at) => keys.rowOf(0, at, headKv))
    expected.set(i, attend(query, keys.values, keyRows, valueDim, softmaxScale * descaleQ))
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

/** Where in the cache the keys lie that a query token sees. */
function visibleTokens(inputs: DenseInputs, request: number, token: number): number[] {
  const { blockTable, width, pageSize } = inputs
  return visibleKeys(inputs, request, token).map(
    (key) => blockTable[request * width + Math.floor(key / pageSize)] * pageSize + (key % pageSize),
  )
}
