import { type MergeStatesProblem, mergeStatesProblem } from '@polymla/core'
import { type MergeInputs, mergeOracle } from '../oracle/merge-states.js'
import { normalArray, type Random } from '../random.js'
import { mergeTolerance } from '../tolerances.js'
import type { Case } from './case.js'
import { checkRows } from './check-rows.js'
import { guardedOutput, upload, uploadStrided } from './device-io.js'
import { bytesOf } from './host-cache.js'

/** A merge of partial states, as grids describe it. */
export interface MergeSpec {
  readonly parts: number
  readonly batch: number
  readonly queryTokens: number
  readonly heads: number
  readonly valueDim: number
  readonly dtype: MergeStatesProblem['dtype']
  readonly outDtype: MergeStatesProblem['outDtype']
  /** Parts that are empty (an lse of ±Infinity or NaN, and NaN for out): none, some, or all of every row. */
  readonly empty: 'none' | 'some' | 'all'
  readonly strided: boolean
  readonly lse: boolean
}

const DEFAULTS: MergeSpec = {
  parts: 3,
  batch: 2,
  queryTokens: 2,
  heads: 16,
  valueDim: 512,
  dtype: 'f32',
  outDtype: 'f32',
  empty: 'some',
  strided: false,
  lse: true,
}

/** E.g. `merge/f32.bf16/p3-b2-s2-h16-v512-some.empty`. */
function mergeName(spec: MergeSpec): string {
  const parts = [
    `p${spec.parts}`,
    `b${spec.batch}`,
    `s${spec.queryTokens}`,
    `h${spec.heads}`,
    `v${spec.valueDim}`,
    `${spec.empty}.empty`,
    spec.strided ? 'strided' : null,
    spec.lse ? null : 'nolse',
  ]
  return `merge/${spec.dtype}.${spec.outDtype}/${parts.filter((part) => part !== null).join('-')}`
}

/** A case of `mergeStates` against the oracle. */
export function mergeCase(given: Partial<MergeSpec>): Case {
  const spec = { ...DEFAULTS, ...given }
  const { empty: _, strided, lse: withLse, ...shape } = spec
  const problem = mergeStatesProblem(shape)
  const { parts, batch, queryTokens, heads, valueDim, dtype, outDtype } = problem
  return {
    name: mergeName(spec),
    problem: () => (batch > 0 ? problem : null),
    async run(bench) {
      const inputs = bench.shared('inputs', (random) => mergeInputs(spec, problem, random))
      const place = strided ? uploadStrided : upload
      const out = guardedOutput(bench, 'out', outDtype, [batch, queryTokens, heads, valueDim])
      const lse = withLse ? guardedOutput(bench, 'lse', 'f32', [batch, heads, queryTokens]) : null
      bench.device.mergeStates({
        outs: place(bench, dtype, [parts, batch, queryTokens, heads, valueDim], inputs.outs),
        lses: place(bench, 'f32', [parts, batch, heads, queryTokens], inputs.lses),
        out: out.tensor,
        lse: lse?.tensor ?? null,
      })
      const downloads = Promise.all([out.download(), lse?.download() ?? null])
      const expected = bench.shared('rows', () => mergeOracle(inputs))
      const [foundOut, foundLse] = await downloads
      const found = {
        queryTokens,
        heads,
        dtype: outDtype,
        out: foundOut,
        lse: foundLse as Float32Array | null,
        empty: emptyRows(inputs),
      }
      return checkRows(found, expected, mergeTolerance(outDtype))
    },
  }
}

/** Partial states as attention gives them; an empty part's out is NaN, which must not show. */
function mergeInputs(spec: MergeSpec, problem: MergeStatesProblem, random: Random): MergeInputs {
  const { parts, batch, queryTokens, heads, valueDim, dtype } = problem
  const rows = parts * batch * queryTokens * heads
  const outs = normalArray(random, dtype, rows * valueDim, 0.3)
  const lses = Float32Array.from({ length: rows }, () => 5 + 3 * random.normal())
  for (let i = 0; i < rows; i++) {
    if (spec.empty === 'none' || (spec.empty === 'some' && random.chance(0.6))) continue
    lses[i] = random.pick([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])
    const token = i % queryTokens
    const head = Math.floor(i / queryTokens) % heads
    const row = (Math.floor(i / (queryTokens * heads)) * queryTokens + token) * heads + head
    bytesOf(outs.subarray(row * valueDim, (row + 1) * valueDim)).fill(0xff)
  }
  return { problem, outs, lses }
}

/** 1 for rows all of whose parts are empty, as [batch, heads, queryTokens]. */
function emptyRows({ problem, lses }: MergeInputs): Uint8Array {
  const rows = problem.batch * problem.heads * problem.queryTokens
  const empty = new Uint8Array(rows).fill(1)
  for (let i = 0; i < lses.length; i++) if (Number.isFinite(lses[i])) empty[i % rows] = 0
  return empty
}
