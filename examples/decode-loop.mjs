// @ts-check
// A few steps of generation over a paged KV cache, for every layer of a model; then a fork that shares its pages.
//
//   node examples/decode-loop.mjs

import { selectDevice, softmaxScaleFromConfig, toFloat32 } from '@polymla/core'
import { madeUp, shown } from './made-up.mjs'

const LAYERS = 3
const HEADS = 16
const PROMPT = 120

const device = await selectDevice()
const cache = device.createKvCache({ format: 'bf16', pages: 16, layers: LAYERS })
const plan = device.planDecode({
  maxBatch: 2,
  heads: HEADS,
  cache: cache.layout,
  blockTableWidth: 8,
  softmaxScale: softmaxScaleFromConfig({ qk_nope_head_dim: 128, qk_rope_head_dim: 64 }),
})
const queries = Array.from({ length: LAYERS }, (_, layer) => madeUp(device, [1, 1, HEADS, 576], layer))
const out = device.empty({ shape: [2, 1, HEADS, 512], dtype: 'bf16' })

/**
 * Appends tokens to a sequence and writes their keys into every layer.
 *
 * @param {import('@polymla/core').Sequence} sequence
 * @param {number} count
 * @param {number} seed stands for what the tokens are
 */
function append(sequence, count, seed) {
  const slots = cache.append(sequence, count)
  for (const [i, layer] of cache.layers.entries()) {
    const latent = madeUp(device, [count, 1, 512], 100 * seed + i)
    const ropeKey = madeUp(device, [count, 1, 64], 100 * seed + i + 50)
    device.appendKv({ latent, ropeKey, slots, cache: layer })
    latent.dispose()
    ropeKey.dispose()
  }
}

/**
 * One decode step: one update, then one run per layer. Shows each sequence's first numbers in the last layer.
 *
 * @param {import('@polymla/core').Sequence[]} sequences
 */
async function decode(...sequences) {
  const batch = sequences.length
  plan.update(cache.batch(sequences))
  for (const [i, layer] of cache.layers.entries()) {
    // The same query for every sequence: a stride of 0 repeats it.
    const q = queries[i].view([batch, 1, HEADS, 576], { strides: [0, 0, 576, 1] })
    plan.run({ q, cache: layer, out: out.slice(0, 0, batch) })
  }
  const rows = toFloat32(await out.download(), 'bf16')
  return sequences.map((_, i) => shown(rows.subarray(i * HEADS * 512).subarray(0, 3)))
}

const parent = cache.createSequence()
append(parent, PROMPT, 1)
for (let token = 2; token < 5; token++) {
  append(parent, 1, token)
  console.log(`${parent.length} tokens on pages ${parent.pages}: ${await decode(parent)}`)
}

// A fork holds the same pages until one of the two writes to a page that both have.
const fork = cache.fork(parent)
console.log(
  `parent on pages ${parent.pages}, fork on ${fork.pages}: ${(await decode(parent, fork)).join(' | ')}`,
)
append(fork, 1, 5)
console.log(
  `parent on pages ${parent.pages}, fork on ${fork.pages}: ${(await decode(parent, fork)).join(' | ')}`,
)

await device.dispose()
