import type { FloatDType, HostArray, SparseDecodeProblem } from '@polymla/core'
import { attendRows } from './attend-rows.js'
import { KeyReader, type Keys } from './key-rows.js'
import type { ExpectedRows, Row } from './rows.js'

/** Indices into one cache, and how many of them count. */
export interface SparseKeys extends Keys {
  readonly topk: number
  /** [batch, queryTokens, topk]: page · pageSize + offset */
  readonly indices: Int32Array
  /** [batch] leading indices that count; null: all. */
  readonly topkLength: Int32Array | null
}

/** Everything a sparse decode computes from, on the host. */
export interface SparseInputs {
  readonly problem: SparseDecodeProblem
  readonly batch: number
  /** [batch, queryTokens, heads, headDim] */
  readonly q: HostArray<FloatDType>
  readonly main: SparseKeys
  readonly extra: SparseKeys | null
  /** [heads] */
  readonly sink: Float32Array | null
  readonly descaleK: number
}

/** Results of the chosen rows (ordered by request, then token), each from the definition in `SparseDecodeProblem`. */
export function sparseOracle(inputs: SparseInputs, rows: readonly Row[]): ExpectedRows {
  const { problem, q, sink, main, extra, descaleK } = inputs
  const { heads, queryTokens, valueDim, dtype, softmaxScale } = problem
  const caches = extra ? [main, extra] : [main]
  const keys = new KeyReader(caches, descaleK)
  return attendRows({
    rows,
    q,
    dtype,
    valueDim,
    scale: softmaxScale,
    keys,
    sink,
    queryOf: ({ request, token, head }) => (request * queryTokens + token) * heads + head,
    visible: ({ request, token }) =>
      Int32Array.from(
        caches.flatMap((from, cache) =>
          Array.from(visible(inputs, from, request, token), (index) => keys.rowOf(cache, index, 0)),
        ),
      ),
  })
}

/** 1 for every row that sees no key, as [batch, heads, queryTokens]. */
export function sparseEmptyRows(inputs: SparseInputs): Uint8Array {
  const { heads, queryTokens } = inputs.problem
  const empty = new Uint8Array(inputs.batch * heads * queryTokens)
  for (let request = 0; request < inputs.batch; request++) {
    for (let token = 0; token < queryTokens; token++) {
      const { main, extra } = inputs
      const count = visible(inputs, main, request, token).length
      if (count > 0 || (extra && visible(inputs, extra, request, token).length > 0)) continue
      for (let head = 0; head < heads; head++) empty[(request * heads + head) * queryTokens + token] = 1
    }
  }
  return empty
}

/** Indices of a query token that count and lie in the cache, repeated ones included. */
function visible(inputs: SparseInputs, from: SparseKeys, request: number, token: number): Int32Array {
  const { layout, topk, topkLength } = from
  const begin = (request * inputs.problem.queryTokens + token) * topk
  const count = topkLength ? topkLength[request] : topk
  const tokens = layout.pages * layout.pageSize
  return from.indices.subarray(begin, begin + count).filter((index) => index >= 0 && index < tokens)
}
