import { type KvLayout, kvLayout, pageLength, sparseDecodeProblem } from '@polymla/core'
import type { SparseInputs, SparseKeys } from '../oracle/sparse-decode.js'
import { normalArray, type Random } from '../random.js'
import { fillTokens, keyDescale, poisonedStorage } from './host-cache.js'
import type { SparseKeysSpec, SparseSpec } from './sparse-spec.js'

/** Indices that no cache has. */
const NO_TOKEN = [-1, -2, -2147483648, 2147483647] as const
/** A cache holds at most this many tokens; beyond it requests choose from the same ones. */
const MAX_TOKENS = 65536

export function sparseProblem(spec: SparseSpec) {
  const { extra } = spec
  return sparseDecodeProblem({
    maxBatch: spec.batch,
    queryTokens: spec.queryTokens,
    heads: spec.heads,
    valueDim: spec.valueDim,
    dtype: spec.dtype,
    outDtype: spec.outDtype,
    cache: layoutOf(spec, spec),
    topk: spec.topk,
    topkLength: spec.topkLength,
    extra: extra && { cache: layoutOf(spec, extra), topk: extra.topk, topkLength: extra.topkLength },
    sink: spec.sink !== 'none',
    softmaxScale: spec.scale === 'flashmla' ? spec.headDim ** -0.55 : 15 * spec.headDim ** -0.5,
    splitPages: spec.splitPages,
  })
}

/** All host data of a case. */
export function sparseInputs(spec: SparseSpec, random: Random): SparseInputs {
  const problem = sparseProblem(spec)
  const count = spec.batch * spec.queryTokens * spec.heads * spec.headDim
  const { extra } = problem
  return {
    problem,
    batch: spec.batch,
    q: normalArray(random, spec.dtype, count, spec.scale === 'flashmla' ? 0.1 : 1),
    main: sparseKeys(spec, spec, problem.cache, random),
    extra: extra && spec.extra ? sparseKeys(spec, spec.extra, extra.cache, random) : null,
    sink: spec.sink === 'none' ? null : sinks(spec.heads, random),
    descaleK: keyDescale(problem.cache),
  }
}

/** One sink per head: around the lse of a row, and among them both infinities. */
export function sinks(heads: number, random: Random): Float32Array {
  return Float32Array.from({ length: heads }, (_, head) => {
    if (head % 7 === 2) return Number.NEGATIVE_INFINITY
    if (head % 7 === 5) return Number.POSITIVE_INFINITY
    return 5 + 2 * random.normal()
  })
}

function layoutOf(spec: SparseSpec, keys: SparseKeysSpec): KvLayout {
  const tokens = Math.min(Math.max(spec.batch, 1) * keys.keys, Math.max(MAX_TOKENS, keys.keys))
  const pages = Math.ceil(tokens / keys.pageSize)
  const packed = kvLayout({ format: keys.format, pages, pageSize: keys.pageSize, headDim: spec.headDim })
  return spec.pageGap === 0 ? packed : kvLayout({ ...packed, pageStride: pageLength(packed) + spec.pageGap })
}

/** Indices, and a cache in which the tokens they reach hold keys and all others NaN. */
function sparseKeys(spec: SparseSpec, keys: SparseKeysSpec, layout: KvLayout, random: Random): SparseKeys {
  const { batch, queryTokens } = spec
  const { topk } = keys
  const tokens = layout.pages * layout.pageSize
  // Tokens that hold keys: a random half of the cache, at least as many as a request has.
  const order = random.permutation(tokens)
  const live = Math.min(tokens, Math.max(Math.ceil(tokens / 2), Math.min(keys.keys, tokens) - 1))
  const topkLength = keys.topkLength ? lengths(batch, topk, spec.zeroLengths, random) : null
  const emptied = Array.from({ length: batch }, () => spec.zeroLengths && !topkLength && random.chance(0.5))
  const indices = new Int32Array(batch * queryTokens * topk)
  const used = new Uint8Array(tokens)
  for (let i = 0; i < indices.length; i++) {
    const request = Math.floor(i / (queryTokens * topk))
    const outside = i % topk >= (topkLength ? topkLength[request] : topk)
    const hidden =
      spec.invalid === 'all' || emptied[request] || (spec.invalid === 'some' && random.chance(0.1))
    if (outside) {
      // Garbage: either no token at all, or one that holds NaN.
      indices[i] =
        random.chance(0.5) || live === tokens
          ? random.pick(NO_TOKEN)
          : order[random.integer(live, tokens - 1)]
    } else if (hidden) {
      indices[i] = random.chance(0.5) ? random.pick(NO_TOKEN) : tokens + random.integer(0, 3)
    } else {
      indices[i] = order[random.integer(0, live - 1)]
      used[indices[i]] = 1
    }
  }
  const storage = poisonedStorage(layout)
  for (let token = 0; token < tokens; token++) {
    if (!used[token]) continue
    const { pageSize } = layout
    fillTokens(
      random,
      layout,
      storage,
      Math.floor(token / pageSize),
      token % pageSize,
      1,
      spec.scale === 'flashmla',
    )
  }
  return { layout, storage, topk, indices, topkLength }
}

function lengths(batch: number, topk: number, zeros: boolean, random: Random): Int32Array {
  return Int32Array.from({ length: batch }, () => (zeros && random.chance(0.5) ? 0 : random.integer(0, topk)))
}
