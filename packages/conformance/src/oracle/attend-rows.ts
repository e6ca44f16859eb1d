import { decodeInto, type FloatDType, type HostArray } from '@polymla/core'
import { Attention, applySink } from './attend.js'
import type { KeyReader } from './key-rows.js'
import { ExpectedRows, type Row } from './rows.js'

/** Chosen query rows of an op and what they attend to. */
interface Work {
  /** Ordered by request, then token. */
  readonly rows: readonly Row[]
  readonly q: HostArray<FloatDType>
  readonly dtype: FloatDType
  readonly valueDim: number
  readonly scale: number
  readonly keys: KeyReader
  /** Which of the rows of `q` it is. */
  queryOf(row: Row): number
  /** Default: there is one. */
  headKvOf?(row: Row): number
  /** Rows of `keys` that it sees: the same for all heads of a query token and KV head. */
  visible(row: Row): Int32Array
  /** [heads] */
  readonly sink?: Float32Array | null
}

/** Results of the rows; those that see the same keys are computed together, and after them those that see most of them. */
export function attendRows(work: Work): ExpectedRows {
  const { rows, q, dtype, valueDim, scale, keys, headKvOf = () => 0, sink } = work
  const { headDim } = keys
  const expected = new ExpectedRows(rows, valueDim)
  const attention = new Attention(keys, valueDim)
  const headsKv = rows.map(headKvOf)
  const order = rows.map((_, i) => i)
  order.sort((i, j) => rows[i].request - rows[j].request || headsKv[i] - headsKv[j] || i - j)
  const alike = (i: number, j: number) =>
    rows[i].request === rows[j].request && rows[i].token === rows[j].token && headsKv[i] === headsKv[j]
  for (let begin = 0, end = 0; begin < order.length; begin = end) {
    while (end < order.length && alike(order[begin], order[end])) end++
    const group = order.slice(begin, end)
    const queries = new Float64Array(group.length * headDim)
    group.forEach((i, at) => {
      decodeInto(q, work.queryOf(rows[i]) * headDim, queries, at * headDim, headDim, dtype)
    })
    attention.attend(queries, work.visible(rows[group[0]]), scale).forEach((result, at) => {
      const i = group[at]
      expected.set(i, sink ? applySink(result, sink[rows[i].head]) : result)
    })
  }
  return expected
}
