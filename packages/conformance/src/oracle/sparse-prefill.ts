import {
  decodeInto,
  type FloatDType,
  type HostArray,
  type SparsePrefillProblem,
  toFloat32,
} from '@polymla/core'
import { applySink, attend } from './attend.js'
import { ExpectedRows, type Row } from './rows.js'

/** Everything a sparse prefill computes from, on the host. */
export interface PrefillInputs {
  readonly problem: SparsePrefillProblem
  /** [queryTokens, heads, headDim] */
  readonly q: HostArray<FloatDType>
  /** [keys, 1, headDim] */
  readonly kv: HostArray<FloatDType>
  /** [queryTokens, 1, topk] */
  readonly indices: Int32Array
  /** [queryTokens] */
  readonly topkLength: Int32Array | null
  /** [heads] */
  readonly sink: Float32Array | null
}

/** Keys that a query token sees, repeated ones included. */
export function prefillVisible(inputs: PrefillInputs, token: number): Int32Array {
  const { topk, keys } = inputs.problem
  const begin = token * topk
  const count = inputs.topkLength ? inputs.topkLength[token] : topk
  return inputs.indices.subarray(begin, begin + count).filter((index) => index >= 0 && index < keys)
}

/** Results of the chosen rows (`request` is the query token), each from the definition in `SparsePrefillProblem`. */
export function prefillOracle(inputs: PrefillInputs, rows: readonly Row[]): ExpectedRows {
  const { problem, q, kv, sink } = inputs
  const { heads, headDim, valueDim, dtype, softmaxScale } = problem
  const expected = new ExpectedRows(rows, valueDim)
  const query = new Float64Array(headDim)
  const keys = toFloat32(kv, dtype)
  let seen: ArrayLike<number> = []
  let of = -1
  rows.forEach(({ request, head }, i) => {
    if (of !== request) seen = prefillVisible(inputs, request)
    of = request
    decodeInto(q, (request * heads + head) * headDim, query, 0, headDim, dtype)
    const row = attend(query, keys, seen, valueDim, softmaxScale)
    expected.set(i, sink ? applySink(row, sink[head]) : row)
  })
  return expected
}
