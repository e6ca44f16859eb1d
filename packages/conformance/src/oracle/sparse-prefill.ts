import { type FloatDType, type HostArray, kvLayout, type SparsePrefillProblem } from '@polymla/core'
import { attendRows } from './attend-rows.js'
import { KeyReader } from './key-rows.js'
import type { ExpectedRows, Row } from './rows.js'

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
  // An unpaged tensor is a cache of one page.
  const format = dtype === 'f16' ? 'fp16' : dtype
  const layout = kvLayout({ format, pages: 1, pageSize: Math.max(problem.keys, 1), headDim })
  return attendRows({
    rows,
    q,
    dtype,
    valueDim,
    scale: softmaxScale,
    keys: new KeyReader([{ layout, storage: kv }], 1),
    sink,
    queryOf: ({ request, head }) => request * heads + head,
    visible: ({ request }) => prefillVisible(inputs, request),
  })
}
