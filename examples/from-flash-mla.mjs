// @ts-check
// FlashMLA's function names and argument order, for engines that port from its Python interface:
//
//   tile_scheduler_metadata, num_splits = get_mla_metadata()
//   for i in range(num_layers):
//       out, lse = flash_mla_with_kvcache(q[i], kv[i], block_table, cache_seqlens, 512,
//                                         tile_scheduler_metadata, num_splits, softmax_scale, causal=True)
//
//   node examples/from-flash-mla.mjs

import { selectDevice } from '@polymla/core'
import { flashMlaWithKvcache, getMlaMetadata } from '@polymla/core/flash-mla'
import { madeUp } from './made-up.mjs'

const LAYERS = 2

const device = await selectDevice()
const q = madeUp(device, [2, 2, 16, 576], 1) // [batch, s_q, h_q, d_qk]
const kv = Array.from({ length: LAYERS }, (_, i) => madeUp(device, [8, 64, 1, 576], 2 + i)) // [blocks, page, h_kv, d_qk]
const blockTable = [3, 0, 6, 5, 1, 7] // [batch, 3]
const cacheSeqlens = [150, 70]
const softmaxScale = 192 ** -0.5

const [tileSchedulerMetadata, numSplits] = getMlaMetadata()
for (let i = 0; i < LAYERS; i++) {
  const [out, lse] = flashMlaWithKvcache(
    q,
    kv[i],
    blockTable,
    cacheSeqlens,
    512,
    tileSchedulerMetadata,
    numSplits,
    softmaxScale,
    true, // causal
  )
  const [logSum] = await lse.download()
  console.log(`layer ${i}: out [${out.shape}], lse [${lse.shape}] ${logSum.toFixed(4)}`)
  // Results are freed when you say so, not when they are collected.
  out.dispose()
  lse.dispose()
}

await device.dispose()
