import { decodeInto, type FloatDType, type HostArray, type MergeStatesProblem } from '@polymla/core'
import { ExpectedRows } from './rows.js'

/** Everything a merge computes from, on the host. */
export interface MergeInputs {
  readonly problem: MergeStatesProblem
  /** [parts, batch, queryTokens, heads, valueDim] */
  readonly outs: HostArray<FloatDType>
  /** [parts, batch, heads, queryTokens] */
  readonly lses: Float32Array
}

/** Every row of the merged state, from the definition in `MergeStatesProblem`. */
export function mergeOracle(inputs: MergeInputs): ExpectedRows {
  const { parts, batch, queryTokens, heads, valueDim, dtype } = inputs.problem
  const rows = Array.from({ length: batch * queryTokens * heads }, (_, i) => ({
    request: Math.floor(i / (queryTokens * heads)),
    token: Math.floor(i / heads) % queryTokens,
    head: i % heads,
  }))
  const expected = new ExpectedRows(rows, valueDim)
  const part = new Float64Array(valueDim)
  rows.forEach(({ request, token, head }, i) => {
    const lseAt = (p: number) => inputs.lses[((p * batch + request) * heads + head) * queryTokens + token]
    const full = Array.from({ length: parts }, (_, p) => p).filter((p) => Number.isFinite(lseAt(p)))
    const largest = full.reduce((max, p) => Math.max(max, lseAt(p)), Number.NEGATIVE_INFINITY)
    const out = new Float64Array(valueDim)
    let sum = 0
    for (const p of full) sum += Math.exp(lseAt(p) - largest)
    for (const p of full) {
      const weight = Math.exp(lseAt(p) - largest) / sum
      const at = ((p * batch + request) * queryTokens + token) * heads + head
      decodeInto(inputs.outs, at * valueDim, part, 0, valueDim, dtype)
      for (let j = 0; j < valueDim; j++) out[j] += weight * part[j]
    }
    const lse = full.length === 0 ? Number.POSITIVE_INFINITY : largest + Math.log(sum)
    expected.set(i, { out, lse, maxLogit: largest })
  })
  return expected
}
