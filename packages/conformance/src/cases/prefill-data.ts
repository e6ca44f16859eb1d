import { type SparsePrefillProblem, sparsePrefillProblem } from '@polymla/core'
import type { PrefillInputs } from '../oracle/sparse-prefill.js'
import { normalArray, type Random } from '../random.js'
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
export function prefillName(spec: PrefillSpec): string {
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

/** Fills in what a grid leaves out. */
export function prefillSpec(given: Partial<PrefillSpec>): PrefillSpec {
  return { ...DEFAULTS, ...(given.dtype ? { outDtype: given.dtype } : {}), ...given }
}

export function prefillProblem(spec: PrefillSpec): SparsePrefillProblem {
  const { invalid: _, strided: _strided, scale, lse: _lse, ...shape } = spec
  return sparsePrefillProblem({ ...shape, softmaxScale: scale })
}

/** All host data of a case. */
export function prefillInputs(spec: PrefillSpec, random: Random): PrefillInputs {
  const problem = prefillProblem(spec)
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
