import {
  type FloatDType,
  type HostArray,
  type SparsePrefillProblem,
  sparsePrefillProblem,
  type Tensor,
} from '@polymla/core'
import { type Comparison, compare } from '../compare.js'
import { chooseRows } from '../oracle/rows.js'
import { type PrefillInputs, prefillOracle, prefillVisible } from '../oracle/sparse-prefill.js'
import { normalArray, type Random } from '../random.js'
import { TOLERANCES } from '../tolerances.js'
import { type Bench, type Case, check } from './case.js'
import { checkRows } from './check-rows.js'
import { guardedOutput, upload, uploadStrided } from './device-io.js'
import { bytesOf } from './host-cache.js'
import { sinks } from './sparse-data.js'

/** A sparse prefill, as grids describe it. */
export interface PrefillSpec {
  readonly queryTokens: number
  readonly heads: number
  readonly keys: number
  readonly topk: number
  readonly headDim: number
  readonly valueDim: number
  readonly dtype: SparsePrefillProblem['dtype']
  readonly outDtype: SparsePrefillProblem['outDtype']
  readonly topkLength: boolean
  readonly sink: boolean
  readonly invalid: 'some' | 'all' | 'none'
  readonly strided: boolean
  /** FlashMLA's tests use 0.5, with q ~ N(0, 1) / 10. */
  readonly scale: number
  /** Whether lse and max logits are asked for. */
  readonly lse: boolean
}

const DEFAULTS: PrefillSpec = {
  queryTokens: 3,
  heads: 64,
  keys: 200,
  topk: 128,
  headDim: 576,
  valueDim: 512,
  dtype: 'bf16',
  outDtype: 'bf16',
  topkLength: false,
  sink: false,
  invalid: 'some',
  strided: false,
  scale: 0.5,
  lse: true,
}

/** E.g. `prefill/bf16/s3-h64-k200-top128-d576v512-len-sink`. */
function prefillName(spec: PrefillSpec): string {
  const parts = [
    `s${spec.queryTokens}`,
    `h${spec.heads}`,
    `k${spec.keys}`,
    `top${spec.topk}`,
    `d${spec.headDim}v${spec.valueDim}`,
    spec.topkLength ? 'len' : null,
    spec.sink ? 'sink' : null,
    spec.invalid === 'some' ? null : `${spec.invalid}.invalid`,
    spec.outDtype === spec.dtype ? null : `out.${spec.outDtype}`,
    spec.strided ? 'strided' : null,
    spec.scale === DEFAULTS.scale ? null : `scale${spec.scale}`,
    spec.lse ? null : 'nolse',
  ]
  return `prefill/${spec.dtype}/${parts.filter((part) => part !== null).join('-')}`
}

/** A case of sparse prefill against the oracle. */
export function prefillCase(given: Partial<PrefillSpec>): Case {
  const spec: PrefillSpec = { ...DEFAULTS, ...(given.dtype ? { outDtype: given.dtype } : {}), ...given }
  const { topkLength, sink, invalid: _, strided: _strided, scale, lse: _lse, ...shape } = spec
  const problem = sparsePrefillProblem({ ...shape, topkLength, sink, softmaxScale: scale })
  return {
    name: prefillName(spec),
    problem: () => problem,
    run: (bench) => runPrefill(bench, prefillInputs(spec, problem, bench.random), spec),
  }
}

function prefillInputs(spec: PrefillSpec, problem: SparsePrefillProblem, random: Random): PrefillInputs {
  const { queryTokens, heads, keys, topk, headDim, dtype } = spec
  const kv = normalArray(random, dtype, keys * headDim, 0.1, 1)
  const topkLength = spec.topkLength
    ? Int32Array.from({ length: queryTokens }, (_, token) => (token % 5 === 3 ? 0 : random.integer(0, topk)))
    : null
  const noKey = [-1, -2147483648, 2147483647, keys] as const
  // Every eighth key holds NaN, and only indices past a topk length name it.
  const poisoned = (key: number) => spec.topkLength && key % 8 === 7
  for (let key = 0; key < keys; key++) {
    if (poisoned(key)) bytesOf(kv.subarray(key * headDim, (key + 1) * headDim)).fill(0xff)
  }
  const indices = Int32Array.from({ length: queryTokens * topk }, (_, i) => {
    const counts = !topkLength || i % topk < topkLength[Math.floor(i / topk)]
    if (keys === 0 || (counts && spec.invalid === 'all')) return random.pick(noKey)
    if (counts && spec.invalid === 'some' && random.chance(0.1)) return random.pick(noKey)
    const key = random.integer(0, keys - 1)
    if (counts) return poisoned(key) ? key - 1 : key
    return random.chance(0.5) ? random.pick(noKey) : key
  })
  return {
    problem,
    q: normalArray(random, dtype, queryTokens * heads * headDim, spec.scale === DEFAULTS.scale ? 1 : 0.1),
    kv,
    indices,
    topkLength,
    sink: spec.sink ? sinks(heads, random) : null,
  }
}

/** Runs a prefill and compares every result with the oracle's. */
export async function runPrefill(
  bench: Bench,
  inputs: PrefillInputs,
  spec: Pick<PrefillSpec, 'strided' | 'lse'>,
): Promise<Comparison[]> {
  const { problem } = inputs
  const { queryTokens, heads, keys, headDim, valueDim, topk, dtype, outDtype } = problem
  const place = spec.strided ? uploadStrided : upload
  const perRow = (name: string) => (spec.lse ? guardedOutput(bench, name, 'f32', [queryTokens, heads]) : null)
  const out = guardedOutput(bench, 'out', outDtype, [queryTokens, heads, valueDim])
  const lse = perRow('lse')
  const maxLogits = perRow('maxLogits')
  bench.device.sparsePrefill({
    q: place(bench, dtype, [queryTokens, heads, headDim], inputs.q),
    kv: place(bench, dtype, [keys, 1, headDim], inputs.kv),
    indices: upload(bench, 'i32', [queryTokens, 1, topk], inputs.indices),
    softmaxScale: problem.softmaxScale,
    topkLength: inputs.topkLength && upload(bench, 'i32', [queryTokens], inputs.topkLength),
    sink: inputs.sink && upload(bench, 'f32', [heads], inputs.sink),
    out: out.tensor,
    lse: (lse?.tensor ?? null) as Tensor<'f32'> | null,
    maxLogits: (maxLogits?.tensor ?? null) as Tensor<'f32'> | null,
  })
  const downloads = Promise.all([out.download(), lse?.download() ?? null, maxLogits?.download() ?? null])
  const cost = () => topk * (headDim + valueDim)
  const grid = { batch: queryTokens, queryTokens: 1, heads, cost }
  const rows = chooseRows(grid, bench.budget, bench.random)
  const expected = prefillOracle(inputs, rows)
  const [foundOut, foundLse, foundMax] = (await downloads) as [
    HostArray,
    Float32Array | null,
    Float32Array | null,
  ]

  const found = {
    queryTokens: 1,
    heads,
    dtype: outDtype as FloatDType,
    out: foundOut,
    lse: foundLse,
    empty: emptyRows(inputs),
  }
  const comparisons = checkRows(found, expected, TOLERANCES.sparsePrefill)
  if (foundMax) {
    const chosen = Float32Array.from(rows, ({ request, head }) => foundMax[request * heads + head])
    const indexOf = (i: number) => [rows[i].request, rows[i].head]
    comparisons.push(compare('maxLogits', expected.maxLogits, chosen, TOLERANCES.sparsePrefill.lse, indexOf))
    check(!foundMax.some(Number.isNaN), 'maxLogits: an element is NaN, or was never written')
  }
  return comparisons
}

function emptyRows(inputs: PrefillInputs): Uint8Array {
  const { queryTokens, heads } = inputs.problem
  const empty = new Uint8Array(queryTokens * heads)
  for (let token = 0; token < queryTokens; token++) {
    if (prefillVisible(inputs, token).length === 0) empty.fill(1, token * heads, (token + 1) * heads)
  }
  return empty
}
