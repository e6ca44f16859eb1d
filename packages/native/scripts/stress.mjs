/**
 * Uses the bridge as roughly as a program may: every call in random order on several streams, handles disposed with work
 * in flight or left to the garbage collector, devices on several threads, threads that end or are ended, failures. For
 * runs under sanitizers, by sanitize.sh; fails when the plugins count a misuse or a handle that was left.
 *
 *   node --expose-gc scripts/stress.mjs <dist/index.js of a build> <folder of the test plugins> [seed]
 */
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { copyPagesProblem, kvLayout } from '@polymla/core'

const [index, plugins, seed = 1] = isMainThread ? process.argv.slice(2) : workerData
const { nativeBackend } = await import(pathToFileURL(resolve(index)).href)
const problem = copyPagesProblem({ maxPairs: 1, cache: kvLayout({ format: 'bf16', pages: 2, pageSize: 1 }) })
const BYTES = 4096

let state = Number(seed)
/** An integer in [0, n). */
function random(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * n)
}
const pick = (list) => list[random(list.length)]

async function open(plugin, options = {}) {
  const library = join(resolve(plugins), `${plugin}.so`)
  const backend = nativeBackend({ name: plugin, library, origin: 'package', options, logger() {} })
  const [info] = await backend.probe()
  return backend.open(info)
}

async function count(plugin, report) {
  const device = await open(plugin, { report })
  const { totalBytes, freeBytes } = device.memory()
  await device.dispose()
  return totalBytes - freeBytes - (report === 'handles' ? 1 : 0)
}

/** One random call; what it makes is kept by chance, disposed or forgotten. */
function call(device, { streams, buffers, events }) {
  // A stream has a buffer of its own, or their work would race.
  const own = random(streams.length)
  const [stream, buffer, event] = [streams[own], buffers[own], pick(events)]
  const renew = () => {
    buffers[own] = device.alloc(BYTES)
    streams[own] = device.createStream()
  }
  const calls = [
    () => stream.fill(buffer, 0, BYTES, random(256)),
    () => stream.upload(buffer, 0, new Uint8Array(BYTES)),
    () => stream.download(buffer, 0, new Uint8Array(BYTES)),
    () => stream.wait(event),
    () => event.query(),
    () => event.done().catch(() => {}),
    renew,
    () => {
      renew()
      device.free(buffer)
      stream.dispose()
    },
    () => events.splice(0, 1, stream.record())[0].dispose(),
    () => events.splice(0, 1, stream.record()),
    () => {
      const plan = device.prepare(problem)
      const ref = { dtype: 'u8', shape: [1], strides: [1], buffer, byteOffset: 0 }
      plan.launch(stream, { pairs: 1, cache: ref, pages: ref, workspace: null })
      if (random(2)) plan.dispose()
    },
    () => {
      stream.beginCapture()
      stream.fill(buffer, 0, BYTES, 1)
      const graph = stream.endCapture()
      graph.launch(stream)
      if (random(2)) graph.dispose()
    },
  ]
  pick(calls)()
}

/** Random calls on one device, which is disposed, forgotten or left as it is. */
async function round(plugin, options) {
  const device = await open(plugin, options)
  const streams = [0, 1, 2].map(() => device.createStream())
  const buffers = [0, 1, 2].map(() => device.alloc(BYTES))
  const kept = { streams, buffers, events: streams.map((stream) => stream.record()) }
  for (let i = 0; i < 60; i++) {
    try {
      call(device, kept)
    } catch (error) {
      if (error.name !== 'PolymlaError') throw error
    }
    if (random(10) === 0) await sleep(0)
    if (random(40) === 0) globalThis.gc?.()
  }
  if (random(3) > 0) await device.dispose()
}

const OPTIONS = [{}, { latency_ms: '1' }, { fail_step: '5' }]
const FAULTS = [
  'device-lost',
  'async-failure',
  'launch-fails',
  'unterminated-text',
  'oom-at',
  'capture-fails',
]

async function work() {
  for (let i = 0; i < 10; i++) {
    await round(pick(['memory', 'memory-polled']), pick(OPTIONS))
    // A device may run out of memory, or be lost, before the round has begun.
    await round('faulty', { fault: pick(FAULTS), at: String(random(40)) }).catch((error) => {
      if (error.name !== 'PolymlaError') throw error
    })
  }
}

if (!isMainThread) {
  parentPort.postMessage('begins')
  await work()
} else {
  const thread = (number) =>
    new Worker(new URL(import.meta.url), { argv: [], workerData: [index, plugins, number] })
  const ended = (worker) => new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve))
  const threads = [2, 3].map((number) => ended(thread(Number(seed) * 10 + number)))
  await work()
  await Promise.all(threads)
  for (let i = 0; i < 5; i++) {
    const worker = thread(Number(seed) * 10 + 5 + i)
    const end = ended(worker)
    await new Promise((resolve) => worker.once('message', resolve))
    await sleep(random(100))
    await worker.terminate()
    await end
  }
  for (const plugin of ['memory', 'memory-polled', 'faulty']) {
    for (let tries = 0; (await count(plugin, 'handles')) > 0; tries++) {
      if (tries > 500) throw new Error(`${plugin}: ${await count(plugin, 'handles')} handles were left`)
      globalThis.gc?.()
      await sleep(10)
    }
    const misuses = await count(plugin, 'misuses')
    if (misuses > 0) throw new Error(`${plugin}: ${misuses} handles were freed or used again too early`)
  }
  // And one exit with work in flight.
  const device = await open('memory', { latency_ms: '1' })
  const stream = device.createStream()
  for (let i = 0; i < 20; i++) stream.download(device.alloc(BYTES), 0, new Uint8Array(BYTES))
  console.log('no misuse, nothing left')
  process.exit(0)
}
