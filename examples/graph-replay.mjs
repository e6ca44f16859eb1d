// @ts-check
// The decode of all layers captured once and replayed in every step: the plan's lengths change, the graph does not.
//
//   node examples/graph-replay.mjs

import { isPolymlaError, selectDevice, softmaxScaleFromConfig } from '@polymla/core'
import { madeUp } from './made-up.mjs'

const LAYERS = 2
const HEADS = 16
const BATCH = 4

const device = await selectDevice()
const cache = device.createKvCache({ format: 'bf16', pages: 32, layers: LAYERS })
const plan = device.planDecode({
  maxBatch: BATCH,
  heads: HEADS,
  cache: cache.layout,
  blockTableWidth: 8,
  softmaxScale: softmaxScaleFromConfig({ qk_nope_head_dim: 128, qk_rope_head_dim: 64 }),
})
const q = madeUp(device, [BATCH, 1, HEADS, 576], 1)
const out = device.empty({ shape: [BATCH, 1, HEADS, 512], dtype: 'bf16' })
const lse = device.empty({ shape: [BATCH, HEADS, 1], dtype: 'f32' })

/**
 * @param {import('@polymla/core').Sequence} sequence
 * @param {number} count
 */
function append(sequence, count) {
  const slots = cache.append(sequence, count)
  const latent = madeUp(device, [count, 1, 576], sequence.length)
  for (const layer of cache.layers) device.appendKv({ latent, slots, cache: layer })
  latent.dispose()
}

/** A graph launches for the batch it was captured with, so updates are padded to it with requests of length 0. */
const update = () => plan.update(cache.batch(sequences, { padTo: BATCH }))

const sequences = [cache.createSequence(), cache.createSequence()]
append(sequences[0], 100)
append(sequences[1], 200)
update()
const graph = device.capture(() => {
  for (const layer of cache.layers) plan.run({ q, cache: layer, out, lse })
})

for (let step = 0; step < 3; step++) {
  for (const sequence of sequences) append(sequence, 1)
  update()
  graph.replay()
  const logSums = await lse.download()
  const rows = [0, 1, 2, 3].map((row) => logSums[row * HEADS].toFixed(4))
  console.log(`lengths ${sequences.map(({ length }) => length)}: lse ${rows.join(' ')}`)
}

// Replaying with lengths that have moved on would be wrong in silence. It is an error.
append(sequences[0], 1)
try {
  graph.replay()
} catch (error) {
  if (!isPolymlaError(error, 'POLYMLA_PLAN_STALE')) throw error
  console.log(`${error.code}: ${error.message}`)
}

await device.dispose()
