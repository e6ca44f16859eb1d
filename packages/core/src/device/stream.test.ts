import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

let open: OpenMemory
let other: OpenMemory

beforeEach(async () => {
  open = await openMemory()
  other = await openMemory()
})

afterEach(async () => {
  expectNothingLeft(open)
  await Promise.all([open.device.dispose(), other.device.dispose()])
})

describe('streams', () => {
  it('take the work that names them', () => {
    const { device, memory } = open
    using stream = device.stream()
    using elsewhere = device.stream()
    using tensor = device.zeros({ shape: [4], dtype: 'u8', stream })
    using event = stream.record()
    elsewhere.wait(event)
    tensor.fillBytes(1, { stream: elsewhere })
    device.defaultStream.wait(event)
    expect(memory.log).toEqual(['fill', 'wait', 'fill', 'wait'])
    expect(device.memory().handles).toMatchObject({ stream: 2, event: 1 })
  })

  it('are disposed once, the default one never', () => {
    const { device } = open
    const stream = device.stream()
    stream.dispose()
    stream[Symbol.dispose]()
    expect(stream.disposed).toBe(true)
    expect(() => stream.record()).toThrow(coded('POLYMLA_DISPOSED'))
    device.defaultStream.dispose()
    expect(device.defaultStream.disposed).toBe(false)
    device.defaultStream.record().dispose()
  })

  it('of another device are refused, as is what is no stream', () => {
    const { device } = open
    using stream = other.device.stream()
    using tensor = device.empty({ shape: [1], dtype: 'u8' })
    for (const bad of [stream, null, {}, 'default']) {
      expect(() => tensor.fillBytes(0, { stream: bad as never })).toThrow(
        coded('POLYMLA_INVALID_ARGUMENT', 'stream'),
      )
    }
    expect(open.memory.log).toEqual([])
  })

  it('wait for events of their own device alone', () => {
    using event = other.device.defaultStream.record()
    for (const bad of [event, undefined, {}]) {
      expect(() => open.device.defaultStream.wait(bad as never)).toThrow(
        coded('POLYMLA_INVALID_ARGUMENT', 'event'),
      )
    }
  })
})

describe('events', () => {
  it('are done when the work is', async () => {
    const { device, memory } = open
    memory.options.pending = true
    using event = device.defaultStream.record()
    const done = event.done()
    expect(event.query()).toBe(false)
    memory.settle()
    await done
    expect(event.query()).toBe(true)
  })

  it('measure the time between two that are both done', async () => {
    const { device, memory } = open
    memory.options.pending = true
    using begin = device.defaultStream.record()
    using tensor = device.zeros({ shape: [1], dtype: 'u8' })
    using end = device.defaultStream.record()
    expect(() => end.elapsedSince(begin)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'earlier'))
    memory.settle()
    await end.done()
    expect(end.elapsedSince(begin)).toBe(1)
    expect(tensor.disposed).toBe(false)
    for (const bad of [null, {}, other.device.defaultStream.record()]) {
      expect(() => end.elapsedSince(bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT'))
    }
  })

  it('are dead once disposed', async () => {
    const event = open.device.defaultStream.record()
    event.dispose()
    event[Symbol.dispose]()
    expect(() => event.query()).toThrow(coded('POLYMLA_DISPOSED'))
    expect(() => open.device.defaultStream.wait(event)).toThrow(coded('POLYMLA_DISPOSED'))
    await expect(event.done()).rejects.toThrow(coded('POLYMLA_DISPOSED'))
  })

  it('reject with what the work failed with', async () => {
    const { device, memory } = open
    const lost = new Error('device lost')
    using tensor = device.zeros({ shape: [1], dtype: 'u8' })
    memory.options.failures = { event: lost }
    using event = device.defaultStream.record()
    await expect(event.done()).rejects.toBe(lost)
    expect(() => event.query()).toThrow(lost)
    await expect(device.synchronize()).rejects.toBe(lost)
    await expect(tensor.download({ signal: new AbortController().signal })).rejects.toBe(lost)
    await expect(event.done({ signal: AbortSignal.abort() })).rejects.toThrow(coded('POLYMLA_ABORTED'))
  })
})

describe('abort', () => {
  it('gives up the wait, before or while it lasts; the work goes on', async () => {
    const { device, memory } = open
    memory.options.pending = true
    using tensor = device.zeros({ shape: [1], dtype: 'u8' })
    const reason = new Error('enough')
    await expect(device.synchronize({ signal: AbortSignal.abort(reason) })).rejects.toThrow(
      expect.objectContaining({ code: 'POLYMLA_ABORTED', cause: reason }),
    )
    const controller = new AbortController()
    const download = tensor.download({ signal: controller.signal })
    controller.abort(reason)
    await expect(download).rejects.toThrow(coded('POLYMLA_ABORTED'))
    memory.settle()
    await expect(device.synchronize({ signal: AbortSignal.timeout(1) })).rejects.toThrow(
      coded('POLYMLA_ABORTED'),
    )
    memory.settle()
  })

  it('after the end changes nothing', async () => {
    const controller = new AbortController()
    await open.device.synchronize({ signal: controller.signal })
    controller.abort()
  })

  it('needs a signal', async () => {
    const { defaultStream } = open.device
    for (const bad of [null, {}, 5]) {
      await expect(defaultStream.synchronize({ signal: bad as never })).rejects.toThrow(
        coded('POLYMLA_INVALID_ARGUMENT', 'signal'),
      )
    }
    await expect(defaultStream.synchronize(null as never)).rejects.toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'options'),
    )
  })
})

it('enqueueing returns at once; waiting leaves the event loop free', async () => {
  const { device, memory } = open
  memory.options.pending = true
  using tensor = device.zeros({ shape: [1], dtype: 'u8' })
  const order: string[] = []
  const done = tensor.download().then(() => order.push('done'))
  setImmediate(() => {
    order.push('event loop')
    memory.settle()
  })
  order.push('enqueued')
  await done
  expect(order).toEqual(['enqueued', 'event loop', 'done'])
})
