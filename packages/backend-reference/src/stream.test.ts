import type { BackendBuffer, BackendStream } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Arena } from './arena.js'
import { ReferenceDevice } from './device.js'
import { WorkerPool } from './worker-pool.js'

const MIB = 2 ** 20
let device: ReferenceDevice
let buffer: BackendBuffer

beforeAll(() => {
  const pool = new WorkerPool(2)
  device = new ReferenceDevice(pool, new Arena(), () => pool.close())
  buffer = device.alloc(32 * MIB)
})

afterAll(() => device.dispose())

/** Work that takes until `release` is called. */
function gate(stream: BackendStream): () => void {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  stream.wait({ query: () => false, done: () => held, elapsedSince: () => 0, dispose() {} })
  return release
}

/** Work that fails. */
function fail(stream: BackendStream): void {
  const problem = { op: 'copyPages', maxPairs: 1, cache: null }
  const plan = device.prepare(problem as never)
  plan.launch(stream, { pairs: 1, cache: null, pages: null, workspace: null } as never)
}

async function bytesAt(stream: BackendStream, offset: number, length: number): Promise<number[]> {
  const target = new Uint8Array(length)
  stream.download(buffer, offset, target)
  await stream.record().done()
  return [...target]
}

describe('streams', () => {
  it('keep the order of uploads, fills, copies and downloads', async () => {
    const stream = device.createStream()
    const [small, large] = [16, 20 * MIB]
    for (const size of [small, large]) {
      stream.fill(buffer, 0, size, 1)
      stream.upload(buffer, 2, Uint8Array.of(7, 8))
      const before = new Uint8Array(4)
      stream.download(buffer, 0, before)
      stream.fill(buffer, size - 4, 4, 9)
      stream.copy(buffer, size - 6, buffer, 24 * MIB, 6)
      stream.fill(buffer, 0, size, 0)
      expect(await bytesAt(stream, 24 * MIB, 6)).toEqual([1, 1, 9, 9, 9, 9])
      expect([...before]).toEqual([1, 1, 7, 8])
    }
    stream.dispose()
  })

  it('copy large ranges', async () => {
    const stream = device.createStream()
    const pattern = Uint8Array.from({ length: 9 * MIB + 3 }, (_, i) => (i * 31) >> 4)
    stream.upload(buffer, 1, pattern)
    stream.copy(buffer, 1, buffer, 16 * MIB, pattern.length)
    const target = new Uint8Array(pattern.length)
    stream.download(buffer, 16 * MIB, target)
    await stream.record().done()
    expect(Buffer.compare(target, pattern)).toBe(0)
    stream.dispose()
  })

  it('give the source of an upload back at once', async () => {
    const stream = device.createStream()
    const release = gate(stream)
    const source = Uint8Array.of(1, 2, 3)
    stream.upload(buffer, 0, source)
    source.fill(0)
    release()
    expect(await bytesAt(stream, 0, 3)).toEqual([1, 2, 3])
    stream.dispose()
  })

  it('mark the end of the queue with events', async () => {
    const stream = device.createStream()
    const idle = stream.record()
    expect(idle.query()).toBe(true)
    const release = gate(stream)
    const event = stream.record()
    expect(event.query()).toBe(false)
    release()
    await event.done()
    expect(event.query()).toBe(true)
    expect(event.elapsedSince(idle)).toBeGreaterThanOrEqual(0)
    stream.dispose()
  })

  it('wait for events of other streams, and go on without waiting otherwise', async () => {
    const [first, second, third] = [device.createStream(), device.createStream(), device.createStream()]
    const release = gate(first)
    first.fill(buffer, 0, 4, 1)
    const event = first.record()
    second.wait(event)
    event.dispose()
    second.fill(buffer, 0, 2, 2)
    const after = second.record()
    expect(await bytesAt(third, 0, 1)).toHaveLength(1)
    expect(after.query()).toBe(false)
    release()
    expect(await bytesAt(second, 0, 4)).toEqual([2, 2, 1, 1])
    for (const stream of [first, second, third]) stream.dispose()
  })

  it('keep a failure, drop later work, and pass it on to streams that wait', async () => {
    const [failing, waiting, other] = [device.createStream(), device.createStream(), device.createStream()]
    other.fill(buffer, 0, 4, 1)
    const before = failing.record()
    fail(failing)
    const event = failing.record()
    waiting.wait(event)
    for (const stream of [failing, waiting]) {
      stream.fill(buffer, 0, 4, 2)
      stream.upload(buffer, 0, Uint8Array.of(3))
    }
    await expect(event.done()).rejects.toMatchObject({ name: 'PolymlaError' })
    expect(() => event.query()).toThrow()
    await expect(waiting.record().done()).rejects.toMatchObject({ name: 'PolymlaError' })
    failing.upload(buffer, 0, Uint8Array.of(3))
    await expect(failing.record().done()).rejects.toMatchObject({ name: 'PolymlaError' })
    await before.done()
    expect(await bytesAt(other, 0, 4)).toEqual([1, 1, 1, 1])
    for (const stream of [failing, waiting, other]) stream.dispose()
  })

  it('release freed memory only when all work enqueued before is done', async () => {
    const stream = device.createStream()
    const free = () => device.memory().freeBytes
    const spare = device.alloc(1024)
    const before = free()
    const release = gate(stream)
    stream.fill(spare, 0, 1024, 1)
    device.free(spare)
    expect(free()).toBe(before)
    release()
    await stream.record().done()
    expect(free()).toBe(before + 1024)
    stream.dispose()
  })
})
