/**
 * What the bridge costs: medians of calls through core's API on a library that does nothing, and the JavaScript heap that
 * they take. After `pnpm build`:
 *
 *   node --expose-gc packages/native/bench/calls.mjs
 */
import { createRuntime, kvLayout } from '@polymla/core'
import { nativeBackend } from '../dist/index.js'
import { buildTestPlugins } from '../test-plugins/build.mjs'

const ROUNDS = 201
const CALLS = 1000

const built = buildTestPlugins()
if ('reason' in built) throw new Error(built.reason)
const backend = (name, options) =>
  nativeBackend({ name, library: `${built.folder}/${name}.so`, origin: 'package', options })
const options = { partitions: '132', workspace_bytes: '65536' }
const runtime = createRuntime({ backends: [backend('noop', options), backend('memory', {})], env: {} })

/** Prints the median over rounds of the time of one call, and the heap that a call takes. */
function measure(what, call) {
  for (let i = 0; i < 20 * CALLS; i++) call()
  const times = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < CALLS; i++) call()
    times.push(Number(process.hrtime.bigint() - start) / CALLS)
  }
  print(what, times, heapPerCall(call))
}

function print(what, nanoseconds, bytes) {
  nanoseconds.sort((a, b) => a - b)
  const at = (share) =>
    `${Math.round(nanoseconds[Math.floor(share * (nanoseconds.length - 1))])} ns`.padStart(10)
  console.log(
    `${what.padEnd(44)}${at(0.5)} median ${at(0.99)} p99 ${bytes === null ? '' : `${bytes} bytes of heap`}`,
  )
}

/** Small enough not to be interrupted by a collection. */
function heapPerCall(call) {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 2000; i++) call()
  return Math.max(0, Math.round((process.memoryUsage().heapUsed - before) / 2000))
}

const device = await runtime.selectDevice('noop')
const layout = { format: 'bf16', pages: 64 }
const cache = device.createKvStorage(layout)
const problem = { maxBatch: 8, heads: 128, cache: kvLayout(layout), blockTableWidth: 8, softmaxScale: 0.1 }
const plan = device.planDecode(problem)
const step = {
  seqlens: Int32Array.from({ length: 8 }, (_, i) => 64 * (i + 1) - 3),
  blockTable: Int32Array.from({ length: 64 }, (_, i) => i),
}
plan.update(step)
const q = device.empty({ shape: [8, 1, 128, 576], dtype: 'bf16' })
const out = device.empty({ shape: [8, 1, 128, 512], dtype: 'bf16' })
const lse = device.empty({ shape: [8, 128, 1], dtype: 'f32' })
const run = { q, cache, out, lse }
measure('plan.run (decode)', () => plan.run(run))
measure('plan.update (8 requests, schedule, upload)', () => plan.update(step))
const graph = device.capture(() => {
  for (let layer = 0; layer < 60; layer++) plan.run(run)
})
measure('graph.replay', () => graph.replay())
const buffer = device.empty({ shape: [4096], dtype: 'u8' })
measure('tensor.fillBytes', () => buffer.fillBytes(0))
const stream = device.stream()
measure('record, query, dispose of an event', () => {
  const event = stream.record()
  event.query()
  event.dispose()
})
measure('wait of one stream for another', () => {
  const event = stream.record()
  device.defaultStream.wait(event)
  event.dispose()
})
measure('allocation and disposal of a tensor', () => device.empty({ shape: [64], dtype: 'f32' }).dispose())
await device.dispose()

const memory = await runtime.selectDevice('memory')
const times = []
for (let i = 0; i < 2000; i++) {
  const start = process.hrtime.bigint()
  await memory.synchronize()
  times.push(Number(process.hrtime.bigint() - start))
}
print('synchronize() on an idle stream thread', times.slice(500), null)
await memory.dispose()
