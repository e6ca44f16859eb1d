import type { DecodeProblem, FloatDType, HostArray } from '@polymla/core'
import { attendRows } from './attend-rows.js'
import { KeyReader } from './key-rows.js'
import type { ExpectedRows, Row } from './rows.js'
import { seesAny, type Visibility, visibleKeys } from './visibility.js'

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
  const { problem, q, storage, descaleQ, descaleK } = inputs
  const { heads, queryTokens, valueDim, dtype, softmaxScale, cache } = problem
  const keys = new KeyReader([{ layout: cache, storage }], descaleK)
  const headKvOf = ({ head }: Row) => Math.floor(head / (heads / cache.headsKv))
  return attendRows({
    rows,
    q,
    dtype,
    valueDim,
    scale: softmaxScale * descaleQ,
    keys,
    headKvOf,
    queryOf: ({ request, token, head }) => (request * queryTokens + token) * heads + head,
    visible: (row) =>
      visibleTokens(inputs, row.request, row.token).map((token) => keys.rowOf(0, token, headKvOf(row))),
  })
}

/** 1 for every row that sees no key, as [batch, heads, queryTokens]. */
export function denseEmptyRows(inputs: DenseInputs): Uint8Array {
  const { heads, queryTokens } = inputs.problem
  const empty = new Uint8Array(inputs.batch * heads * queryTokens)
  for (let request = 0; request < inputs.batch; request++) {
    for (let token = 0; token < queryTokens; token++) {
      if (seesAny(inputs, request, token)) continue
      for (let head = 0; head < heads; head++) empty[(request * heads + head) * queryTokens + token] = 1
    }
  }
  return empty
}

/** Where in the cache the keys lie that a query token sees. */
function visibleTokens(inputs: DenseInputs, request: number, token: number): Int32Array {
  const { blockTable, width, pageSize } = inputs
  return visibleKeys(inputs, request, token).map(
    (key) => blockTable[request * width + Math.floor(key / pageSize)] * pageSize + (key % pageSize),
  )
}
