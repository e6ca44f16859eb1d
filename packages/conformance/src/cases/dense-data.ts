import { decodeProblem, elementCount, type KvLayout, kvLayout, pageBytes, pageLength } from '@polymla/core'
import type { DenseInputs } from '../oracle/dense.js'
import { normalArray, Random } from '../random.js'
import type { DenseSpec } from './dense-spec.js'
import { keyDescale } from './host-cache.js'
import { fillPages, type PagePlan, planPages } from './page-pool.js'

/** Lengths and pages of a case: all that its problem depends on. Seeded apart from the data, so that it is cheap. */
export function denseShape(spec: DenseSpec, seed: number, name: string) {
  const random = new Random(seed, `${name} shape`)
  const lengths = denseLengths(spec, random)
  const layoutOf = (pages: number): KvLayout => {
    const { format, pageSize, headsKv, headDim } = spec
    const packed = kvLayout({ format, pages, pageSize, headsKv, headDim })
    return spec.pageGap === 0
      ? packed
      : kvLayout({ ...packed, pageStride: pageLength(packed) + spec.pageGap })
  }
  const plan = planPages(random, lengths, spec.pageSize, pageBytes(layoutOf(1)), spec.tables === 'hostile')
  const layout = layoutOf(plan.pages)
  const problem = decodeProblem({
    maxBatch: spec.batch + spec.slack,
    queryTokens: spec.queryTokens,
    heads: spec.heads,
    valueDim: spec.valueDim,
    dtype: spec.dtype,
    outDtype: spec.outDtype,
    cache: layout,
    blockTableWidth: plan.width,
    mask: spec.mask,
    softmaxScale: softmaxScale(spec),
    splitPages: spec.splitPages,
  })
  return { lengths, plan, problem }
}

/** Dequantisation factor of e4m3 queries, unless the case is one of FlashMLA's. */
const QUERY_DESCALE = 0.25

/** Unless given: one under which logits of N(0, 1) queries and N(0, 0.1) keys spread by 1.5, so that some keys matter. */
function softmaxScale({ scale, dtype, headDim }: DenseSpec): number {
  if (scale === 'flashmla') return headDim ** -0.5
  return scale ?? (15 / (dtype === 'e4m3' ? QUERY_DESCALE : 1)) * headDim ** -0.5
}

/** All host data of a case. */
export function denseInputs(
  spec: DenseSpec,
  shape: { lengths: Int32Array; plan: PagePlan; problem: DenseInputs['problem'] },
  random: Random,
): DenseInputs {
  const { lengths, plan, problem } = shape
  const { cache, queryTokens, heads, dtype, mask } = problem
  const count = elementCount([spec.batch, queryTokens, heads, cache.headDim])
  const sigma = spec.scale === 'flashmla' && dtype !== 'e4m3' ? 0.1 : 1
  return {
    problem,
    batch: spec.batch,
    q: normalArray(random, dtype, count, sigma),
    storage: fillPages(random, cache, plan.filled),
    lengths,
    blockTable: plan.blockTable,
    width: plan.width,
    mask,
    queryTokens,
    pages: cache.pages,
    pageSize: cache.pageSize,
    treeMask: mask === 'tree' ? treeMask(random, spec.batch, queryTokens) : null,
    descaleQ: dtype === 'e4m3' && spec.scale !== 'flashmla' ? QUERY_DESCALE : 1,
    descaleK: keyDescale(cache),
  }
}

function denseLengths(spec: DenseSpec, random: Random): Int32Array {
  const { batch, keys, queryTokens, pageSize } = spec
  const varlen = () => Math.max(Math.floor(keys + (keys / 2) * random.normal()), queryTokens)
  const edges = [0, 1, pageSize - 1, pageSize, pageSize + 1, keys, 2 * pageSize, queryTokens - 1]
  const length = (request: number): number => {
    switch (spec.lengths) {
      case 'fixed':
        return keys
      case 'varlen':
        return varlen()
      case 'half-empty':
        return random.chance(0.5) ? 0 : varlen()
      case 'edges':
        return edges[request % edges.length]
      case 'empty':
        return 0
    }
  }
  return Int32Array.from({ length: batch }, (_, request) => length(request))
}

/** A random tree: every token sees itself and a random part of the others; bits past queryTokens are garbage. */
function treeMask(random: Random, batch: number, queryTokens: number): Int32Array {
  const words = Math.ceil(queryTokens / 32)
  const mask = Int32Array.from({ length: batch * queryTokens * words }, () => random.bits())
  for (let row = 0; row < batch * queryTokens; row++) {
    const self = row % queryTokens
    mask[row * words + (self >> 5)] |= 1 << (self & 31)
  }
  return mask
}
