import { pageBytes } from '@polymla/core'
import { visibleKeys } from '../oracle/visibility.js'
import type { Recorded } from './recorded.js'

/** What a case makes a device do, as FlashMLA counts it. */
export interface Work {
  /** 2 · rows · keys · (headDim + valueDim), for the keys that count. */
  readonly flops: number
  /** q, the keys each request reads, once, and out. */
  readonly bytes: number
}

export function workOf(recorded: Recorded): Work {
  switch (recorded.op) {
    case 'decode': {
      const { problem, batch, q } = recorded.inputs
      const { cache, queryTokens, heads, valueDim, outDtype } = problem
      let keys = 0
      for (let request = 0; request < batch; request++) {
        keys += visibleKeys({ ...recorded.inputs, mask: 'none' }, request, 0).length
      }
      const out = batch * queryTokens * heads * valueDim * (outDtype === 'f32' ? 4 : 2)
      return {
        flops: 2 * queryTokens * heads * keys * (cache.headDim + valueDim),
        bytes: q.byteLength + keys * (pageBytes(cache) / cache.pageSize) + out,
      }
    }
    case 'sparseDecode': {
      const { problem, batch, main, extra, q } = recorded.inputs
      const { queryTokens, heads, valueDim, cache } = problem
      let keys = 0
      let bytes = q.byteLength + batch * queryTokens * heads * valueDim * 2
      for (const from of extra ? [main, extra] : [main]) {
        const perToken = pageBytes(from.layout) / from.layout.pageSize
        for (let request = 0; request < batch; request++) {
          const count = queryTokens * (from.topkLength ? from.topkLength[request] : from.topk)
          keys += count
          bytes += count * perToken
        }
      }
      return { flops: 2 * heads * keys * (cache.headDim + valueDim), bytes }
    }
    case 'sparsePrefill': {
      const { problem, q, kv, topkLength } = recorded.inputs
      const { queryTokens, heads, headDim, valueDim, topk } = problem
      const keys = topkLength ? topkLength.reduce((a, b) => a + b, 0) : queryTokens * topk
      const perKey = headDim * kv.BYTES_PER_ELEMENT
      return {
        flops: 2 * heads * keys * (headDim + valueDim),
        bytes: q.byteLength + keys * perKey + queryTokens * heads * valueDim * kv.BYTES_PER_ELEMENT,
      }
    }
  }
}
