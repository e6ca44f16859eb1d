// @ts-check
// Attention over two halves of a context, merged: what context parallelism and shared prefixes are made of.
//
//   node examples/split-and-merge.mjs

import { selectDevice, softmaxScaleFromConfig } from '@polymla/core'
import { madeUp, shown } from './made-up.mjs'

const HEADS = 8
const TOKENS = 512

const device = await selectDevice()
const cache = device.createKvCache({ format: 'bf16', pages: 8 })
const [layer] = cache.layers
const sequence = cache.createSequence()
const slots = cache.append(sequence, TOKENS)
device.appendKv({ latent: madeUp(device, [TOKENS, 1, 576], 1), slots, cache: layer })

// Three requests over the same pages: the first half, the second half and the whole.
const { pages } = sequence
const half = pages.length / 2
const unused = new Array(half).fill(-1)
const plan = device.planDecode({
  maxBatch: 3,
  heads: HEADS,
  outDtype: 'f32', // partial results keep their precision until they are merged
  cache: cache.layout,
  blockTableWidth: pages.length,
  softmaxScale: softmaxScaleFromConfig({ qk_nope_head_dim: 128, qk_rope_head_dim: 64 }),
})
plan.update({
  seqlens: [TOKENS / 2, TOKENS / 2, TOKENS],
  blockTable: [...pages.slice(0, half), ...unused, ...pages.slice(half), ...unused, ...pages],
})

const q = madeUp(device, [1, 1, HEADS, 576], 2).view([3, 1, HEADS, 576], { strides: [0, 0, 576, 1] })
const out = device.empty({ shape: [3, 1, HEADS, 512], dtype: 'f32' })
const lse = device.empty({ shape: [3, HEADS, 1], dtype: 'f32' })
plan.run({ q, cache: layer, out, lse })

const merged = device.empty({ shape: [1, 1, HEADS, 512], dtype: 'f32' })
const mergedLse = device.empty({ shape: [1, HEADS, 1], dtype: 'f32' })
device.mergeStates({
  outs: out.slice(0, 0, 2).view([2, 1, 1, HEADS, 512]),
  lses: lse.slice(0, 0, 2).view([2, 1, HEADS, 1]),
  out: merged,
  lse: mergedLse,
})

const logSums = await lse.download()
console.log(
  `lse of head 0: halves ${shown([logSums[0], logSums[HEADS]])}, whole ${shown([logSums[2 * HEADS]])}`,
)
console.log(`merged: ${shown((await mergedLse.download()).subarray(0, 1))}`)

const whole = await out.slice(0, 2, 3).download()
const differences = (await merged.download()).map((x, i) => Math.abs(x - whole[i]))
console.log(`outputs differ by ${Math.max(...differences).toExponential(0)} at most`)

await device.dispose()
