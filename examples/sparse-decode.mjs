// @ts-check
// Sparse decode: attention over chosen tokens of an fp8-656 cache, with an attention sink.
//
//   node examples/sparse-decode.mjs

import { selectDevice, softmaxScaleFromConfig, toFloat32 } from '@polymla/core'
import { madeUp, shown } from './made-up.mjs'

const HEADS = 64
const TOKENS = 1000
const TOPK = 128

const device = await selectDevice()
const cache = device.createKvCache({ format: 'fp8-656', pages: 16 })
const [layer] = cache.layers

// appendKv quantises: 512 numbers to e4m3 with a scale per 128, 64 of rope as bf16.
const slots = cache.append(cache.createSequence(), TOKENS)
const latent = madeUp(device, [TOKENS, 1, 512], 1)
const ropeKey = madeUp(device, [TOKENS, 1, 64], 2)
device.appendKv({ latent, ropeKey, slots, cache: layer })

// An index is a slot, page · pageSize + offset. An indexer would score the tokens; here every ninth is chosen, and −1
// pads the list: whatever lies outside the cache is invisible.
const chosen = slots.filter((_, token) => token % 9 === 0)
const list = new Int32Array(TOPK).fill(-1)
list.set(chosen)
const indices = device.upload(list, { shape: [1, 1, TOPK], dtype: 'i32' })
console.log(`${chosen.length} of ${TOKENS} tokens in a list of ${TOPK}`)

const plan = device.planSparseDecode({
  maxBatch: 1,
  heads: HEADS,
  cache: cache.layout,
  topk: TOPK,
  sink: true,
  softmaxScale: softmaxScaleFromConfig({ qk_nope_head_dim: 128, qk_rope_head_dim: 64 }),
})
plan.update({ batch: 1 })

const q = madeUp(device, [1, 1, HEADS, 576], 3)
const out = device.empty({ shape: [1, 1, HEADS, 512], dtype: 'bf16' })
const lse = device.empty({ shape: [1, HEADS, 1], dtype: 'f32' })

/**
 * Decodes with one sink for all heads, shows head 0 and returns its lse.
 *
 * @param {number} value
 */
async function decode(value) {
  const sink = device.upload(new Float32Array(HEADS).fill(value), { shape: [HEADS], dtype: 'f32' })
  plan.run({ q, cache: layer, indices, sink, out, lse })
  sink.dispose()
  const [logSum] = await lse.download()
  const numbers = toFloat32(await out.download(), 'bf16').subarray(0, 3)
  console.log(`sink ${value.toFixed(4)}: out ${shown(numbers)}, lse ${logSum.toFixed(4)}`)
  return logSum
}

// A sink of −∞ takes no weight, one that equals the lse takes half of it. The lse does not count it.
const logSum = await decode(-Infinity)
await decode(logSum)
await decode(Infinity)

await device.dispose()
