import { Random } from '@polymla/conformance'
import { type Device, type KvLayout, kvLayout, tokenBytes } from '@polymla/core'
import type { Scope } from '../scope.js'
import { fillCache, fillNormal, sampler } from './data.js'
import type { SparseDecodeCase } from './rows.js'
import type { Work } from './work.js'

const VALUE_DIM = 512
/** DeepSeek-V4 keeps its main stream in pages of 256 tokens, everything else is in pages of 64. */
const PAGE = { 576: 64, 512: 256 } as const
const EXTRA_PAGE = 64
/** The extra cache holds a stream compressed four times. */
const EXTRA_RATIO = 4

/** Puts a sparse decode case on the device; every query token draws its own distinct tokens of its request. */
export function sparseDecodeWork(device: Device, row: SparseDecodeCase, seed: number, scope: Scope): Work {
  const { b, s_q, h_q, d_qk, topk, extra_topk } = row
  const format = d_qk === 576 ? 'fp8-656' : 'fp8-584'
  const random = new Random(seed)
  const pool = (tokens: number, pageSize: number) =>
    kvLayout({ format, pages: b * Math.ceil(tokens / pageSize), pageSize })
  const layout = pool(row.s_kv, PAGE[d_qk])
  const extraTokens = Math.floor(row.s_kv / EXTRA_RATIO)
  const extraLayout = extra_topk === null ? null : pool(extraTokens, EXTRA_PAGE)

  const plan = scope.hold(
    device.planSparseDecode({
      maxBatch: b,
      queryTokens: s_q,
      heads: h_q,
      cache: layout,
      topk,
      extra: extraLayout && { cache: extraLayout, topk: extra_topk as number },
      softmaxScale: d_qk ** -0.5,
    }),
  )
  const main = chosenTokens(device, row, row.s_kv, topk, layout, random, scope)
  const extra =
    extraLayout && chosenTokens(device, row, extraTokens, extra_topk as number, extraLayout, random, scope)
  const q = scope.hold(device.empty({ shape: [b, s_q, h_q, d_qk], dtype: 'bf16' }))
  const out = scope.hold(device.empty({ shape: [b, s_q, h_q, VALUE_DIM], dtype: 'bf16' }))
  const lse = scope.hold(device.empty({ shape: [b, h_q, s_q], dtype: 'f32' }))
  fillNormal(q, random)
  plan.update({ batch: b })

  const keys = topk + (extra_topk ?? 0)
  const rows = b * s_q * h_q
  return {
    launch: () =>
      plan.run({
        q,
        cache: main.cache,
        indices: main.indices,
        extraCache: extra?.cache ?? null,
        extraIndices: extra?.indices ?? null,
        out,
        lse,
      }),
    flop: 2 * rows * keys * (d_qk + VALUE_DIM),
    bytes: rows * (d_qk + VALUE_DIM) * 2 + (main.distinct + (extra?.distinct ?? 0)) * tokenBytes(layout),
  }
}

/** A filled cache of pages in random order, and `topk` of each request's tokens per query token. */
function chosenTokens(
  device: Device,
  { b, s_q }: SparseDecodeCase,
  tokens: number,
  topk: number,
  layout: KvLayout,
  random: Random,
  scope: Scope,
) {
  const { pageSize } = layout
  const cache = scope.hold(device.createKvStorage(layout))
  fillCache(cache, random)
  const pages = random.permutation(layout.pages)
  const draw = sampler(tokens, random)
  const pagesPerRequest = layout.pages / b
  const indices = new Int32Array(b * s_q * topk)
  let distinct = 0
  for (let request = 0; request < b; request++) {
    const seen = new Uint8Array(tokens)
    for (let s = 0; s < s_q; s++) {
      const at = (request * s_q + s) * topk
      for (const [i, token] of draw(topk).entries()) {
        const page = pages[request * pagesPerRequest + Math.floor(token / pageSize)]
        indices[at + i] = page * pageSize + (token % pageSize)
        distinct += 1 - seen[token]
        seen[token] = 1
      }
    }
  }
  return {
    cache,
    distinct,
    indices: scope.hold(device.upload(indices, { shape: [b, s_q, topk], dtype: 'i32' })),
  }
}
