import {
  type BackendDevice,
  copyPagesProblem,
  decodeProblem,
  kvLayout,
  mergeStatesProblem,
  type TensorRef,
} from '@polymla/core'
import { afterEach, describe, expect, it } from 'vitest'
import { NativeBuffer } from './buffer.js'
import { failure, notRunnable, openPlugin, polled, suite } from './plugins.fixtures.js'

const slow = { latency_ms: '10' }
const merge = mergeStatesProblem({ parts: 2, batch: 1, heads: 1, valueDim: 16 })
const devices: BackendDevice[] = []

async function open(plugin: string, options: Record<string, string> = {}): Promise<BackendDevice> {
  const device = await openPlugin(plugin, options)
  devices.push(device)
  return device
}

afterEach(async () => {
  for (const device of devices.splice(0)) await device.dispose()
})

/** Operands of `merge` in one buffer: two parts of value 1 and 3 and equal weight, whose result is 2. */
function mergeArgs(device: BackendDevice) {
  const buffer = device.alloc(1024)
  const ref = (byteOffset: number, shape: number[], strides: number[]): TensorRef => {
    return { dtype: 'f32', shape, strides, buffer, byteOffset }
  }
  const args = {
    outs: ref(0, [2, 1, 1, 1, 16], [16, 16, 16, 16, 1]),
    lses: ref(256, [2, 1, 1, 1], [1, 1, 1, 1]),
    out: ref(512, [1, 1, 1, 16], [16, 16, 16, 1]),
    lse: null,
    workspace: null,
  }
  const values = new Float32Array(66).fill(1, 0, 16).fill(3, 16, 32)
  return { buffer, args, bytes: new Uint8Array(values.buffer) }
}

describe.skipIf(notRunnable).each(['memory', 'memory-polled'])(suite('a stream of %s'), (plugin) => {
  it('moves bytes in order', async () => {
    const device = await open(plugin)
    const stream = device.createStream()
    const [a, b] = [device.alloc(8), device.alloc(8)]
    const source = Uint8Array.of(1, 2, 3, 4)
    stream.fill(a, 0, 8, 255)
    stream.upload(a, 2, source)
    source.fill(0)
    stream.fill(b, 0, 8, 9)
    stream.copy(a, 1, b, 3, 4)
    const bytes = [new Uint8Array(8), new Uint8Array(6)]
    stream.download(a, 0, bytes[0])
    stream.download(b, 2, bytes[1])
    await stream.record().done()
    expect([...bytes[0]]).toEqual([255, 255, 1, 2, 3, 4, 255, 255])
    expect([...bytes[1]]).toEqual([9, 255, 1, 2, 3, 9])
  })

  it('launches', async () => {
    const device = await open(plugin)
    const stream = device.createStream()
    const { buffer, args, bytes } = mergeArgs(device)
    stream.upload(buffer, 0, bytes)
    device.prepare(merge).launch(stream, args)
    const out = new Float32Array(16)
    stream.download(buffer, 512, new Uint8Array(out.buffer))
    await stream.record().done()
    expect([...out]).toEqual(Array(16).fill(2))
  })

  it('is done when its events say so', async () => {
    const device = await open(plugin, slow)
    const stream = device.createStream()
    const buffer = device.alloc(4)
    const first = stream.record()
    stream.fill(buffer, 0, 4, 1)
    const second = stream.record()
    expect(second.query()).toBe(false)
    await second.done()
    expect(second.query()).toBe(true)
    expect(first.query()).toBe(true)
    await second.done()
    expect(second.elapsedSince(first)).toBeGreaterThan(0)
    expect(second.elapsedSince(second)).toBe(0)
  })

  it('can be asked without awaiting', async () => {
    const device = await open(plugin, slow)
    const stream = device.createStream()
    stream.fill(device.alloc(4), 0, 4, 1)
    await polled(stream.record())
  })

  it('settles every promise of an event, also after its disposal', async () => {
    const device = await open(plugin, slow)
    const stream = device.createStream()
    stream.fill(device.alloc(4), 0, 4, 1)
    const event = stream.record()
    const waits = [event.done(), event.done(), event.done()]
    event.dispose()
    event.dispose()
    await Promise.all(waits)
  })

  it('does not wait for other streams', async () => {
    const device = await open(plugin, slow)
    const [busy, idle] = [device.createStream(), device.createStream()]
    const buffer = device.alloc(4)
    for (let i = 0; i < 100; i++) busy.fill(buffer, 0, 4, i)
    const last = busy.record()
    let lastIsDone = false
    const waiting = last.done().then(() => {
      lastIsDone = true
    })
    idle.fill(device.alloc(4), 0, 4, 1)
    await idle.record().done()
    expect(lastIsDone).toBe(false)
    await waiting
  })

  it('holds work back until an event of another, which may be disposed at once', async () => {
    const device = await open(plugin, slow)
    const [producer, consumer] = [device.createStream(), device.createStream()]
    const [from, to] = [device.alloc(4), device.alloc(4)]
    for (let i = 1; i <= 5; i++) producer.fill(from, 0, 4, i)
    const event = producer.record()
    consumer.wait(event)
    event.dispose()
    producer.dispose()
    consumer.copy(from, 0, to, 0, 4)
    const bytes = new Uint8Array(4)
    consumer.download(to, 0, bytes)
    await consumer.record().done()
    expect([...bytes]).toEqual([5, 5, 5, 5])
  })

  it('fails for good, and so do the streams that wait for it', async () => {
    const device = await open(plugin, { fail_step: '2' })
    const [stream, other] = [device.createStream(), device.createStream()]
    const buffer = device.alloc(4)
    stream.fill(buffer, 0, 4, 1)
    const good = stream.record()
    stream.fill(buffer, 0, 4, 2)
    const bad = stream.record()
    await good.done()
    const expected = failure('POLYMLA_INTERNAL', 'step failed', { device: plugin })
    await expect(bad.done()).rejects.toEqual(expected)
    expect(() => bad.query()).toThrow(expected)
    await expect(bad.done()).rejects.toEqual(expected)
    await expect(stream.record().done()).rejects.toEqual(expected)
    other.wait(bad)
    await expect(other.record().done()).rejects.toEqual(expected)
    await device.createStream().record().done()
  })

  it('captures what graphs replay, while other work is under way', async () => {
    const device = await open(plugin, slow)
    const stream = device.createStream()
    const [a, b, gone] = [device.alloc(4), device.alloc(4), device.alloc(4)]
    stream.fill(gone, 0, 4, 1)
    stream.beginCapture!()
    stream.copy(a, 0, b, 0, 4)
    device.free(gone)
    device.prepare(merge).dispose()
    const graph = stream.endCapture!()
    stream.fill(a, 0, 4, 1)
    stream.fill(b, 0, 4, 0)
    const bytes = [new Uint8Array(4), new Uint8Array(4)]
    stream.download(b, 0, bytes[0])
    graph.launch(stream)
    stream.download(b, 0, bytes[1])
    graph.dispose()
    graph.dispose()
    await stream.record().done()
    expect(bytes.map((each) => each[0])).toEqual([0, 1])
  })
})

describe.skipIf(notRunnable)(suite('a failing library'), () => {
  const decode = decodeProblem({
    maxBatch: 1,
    heads: 16,
    cache: kvLayout({ format: 'bf16', pages: 1 }),
    blockTableWidth: 1,
    softmaxScale: 0.1,
  })

  /** A stream of a device with a fault, and a launch on it. */
  async function rig(fault: string) {
    const device = await open('faulty', { fault })
    const stream = device.createStream()
    const plan = device.prepare(copyPagesProblem({ maxPairs: 1, cache: decode.cache }))
    const ref: TensorRef = {
      dtype: 'u8',
      shape: [1],
      strides: [1],
      byteOffset: 0,
      buffer: new NativeBuffer(device, 1, 256, null),
    }
    return {
      device,
      stream,
      launch: () => plan.launch(stream, { pairs: 1, cache: ref, pages: ref, workspace: null }),
    }
  }

  it('refuses a launch with what it says', async () => {
    const { stream, launch } = await rig('launch-fails')
    expect(launch).toThrow(failure('POLYMLA_UNSUPPORTED', 'q_strides[2] = 1', { fix: 'Copy q first' }))
    await stream.record().done()
  })

  it.each([
    ['garbage-status', 'copy_pages failed with status -2147483647'],
    ['silent', 'copy_pages failed with status 10'],
    ['unterminated-text', '\ufffd'.repeat(255)],
  ])('with %s is an internal error', async (fault, message) => {
    const { launch } = await rig(fault)
    expect(launch).toThrow(failure('POLYMLA_INTERNAL', message))
  })

  it('names the kernel whose work failed', async () => {
    const { stream, launch } = await rig('async-failure')
    launch()
    await expect(stream.record().done()).rejects.toEqual(failure('POLYMLA_INTERNAL', 'kernel copy_pages'))
  })

  it('that loses its device is not called again', async () => {
    const { device, stream, launch } = await rig('device-lost')
    const event = stream.record()
    const lost = failure('POLYMLA_DEVICE_LOST', 'fallen off the bus', { device: 'faulty:0' })
    expect(launch).toThrow(lost)
    for (const call of [
      launch,
      () => event.query(),
      () => stream.record(),
      () => device.alloc(1),
      () => device.createStream(),
      () => device.supports(decode),
      () => stream.wait(event),
    ]) {
      expect(call).toThrow(lost)
    }
    await expect(event.done()).rejects.toEqual(lost)
  })

  it('passes on why a capture failed, and the stream is usable again', async () => {
    const { device, stream } = await rig('capture-fails')
    stream.beginCapture!()
    stream.fill(device.alloc(1), 0, 1, 1)
    expect(() => stream.endCapture!()).toThrow(failure('POLYMLA_CAPTURE_ILLEGAL', 'synchronised the device'))
    await stream.record().done()
  })

  it('survives being out of memory at any creation', async () => {
    for (let at = 0; at < 12; at++) {
      const device = await open('faulty', { fault: 'oom-at', at: String(at) })
      const outOfMemory = failure('POLYMLA_OUT_OF_MEMORY')
      const attempt = <T>(make: () => T): T | null => {
        try {
          return make()
        } catch (error) {
          expect(error).toEqual(outOfMemory)
          return null
        }
      }
      const [stream, other] = [attempt(() => device.createStream()), attempt(() => device.createStream())]
      const buffer = attempt(() => device.alloc(64))
      const plan = attempt(() => device.prepare(decode))
      const bytes = new Uint8Array(64)
      if (stream && buffer) {
        stream.fill(buffer, 0, 64, 3)
        attempt(() => stream.beginCapture!())
        const graph = attempt(() => stream.endCapture!())
        if (graph && other) attempt(() => graph.launch(other))
        stream.download(buffer, 0, bytes)
        attempt(() => stream.record())
        graph?.dispose()
      }
      plan?.dispose()
      if (buffer) device.free(buffer)
      stream?.dispose()
    }
  })
})
