import { normalArray, Random } from '@polymla/conformance'
import { createRuntime, type Device, isPolymlaError } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cudaHopper } from '../backend.js'
import { gpu, openGpu, skipped } from './devices.fixtures.js'
import { bitsOf, poison, workload } from './workload.fixtures.js'

const devices = await cudaHopper()
  .probe()
  .then((found) => found.filter(({ available }) => available))
  .catch(() => [])

const bytes = (tensor: { download(): Promise<ArrayBufferView> }) =>
  tensor.download().then((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength))

describe.skipIf(gpu === null)(`the runtime${skipped}`, () => {
  let device: Device
  beforeAll(async () => {
    device = await openGpu()
  })
  afterAll(async () => {
    expect(device?.memory().liveBytes).toBe(0)
    await device?.dispose()
  })

  it('tells its driver', () => {
    expect((device.info as { driver?: string }).driver).toMatch(/^\d+\.\d+/)
  })

  it('counts memory: what is taken is not free, and what is given back is', async () => {
    const before = device.memory()
    const size = 2 ** 30
    const tensor = device.empty({ shape: [size], dtype: 'u8' })
    const during = device.memory()
    expect(during.liveBytes - before.liveBytes).toBe(size)
    expect((before.freeBytes as number) - (during.freeBytes as number)).toBeGreaterThanOrEqual(0.99 * size)
    expect(during.totalBytes).toBe(before.totalBytes)
    tensor.dispose()
    await device.synchronize()
    expect((before.freeBytes as number) - (device.memory().freeBytes as number)).toBeLessThan(0.01 * size)
  })

  it('says how much was asked for when there is not as much', () => {
    const failure = caught(() => device.empty({ shape: [2 ** 45], dtype: 'u8' }))
    expect(isPolymlaError(failure, 'POLYMLA_OUT_OF_MEMORY')).toBe(true)
    expect((failure as Error).message).toMatch(/35184372088832 bytes were asked for, and \d+ of \d+ are free/)
  })

  it('stages what is not pinned, on any stream, and gives the source back at once', async () => {
    using stream = device.stream()
    const source = normalArray(new Random(3), 'bf16', 20e6, 1)
    const expected = Buffer.from(source.slice().buffer)
    using tensor = device.upload(source, { shape: [source.length], dtype: 'bf16', stream })
    source.fill(0)
    const found = (await tensor.download({ stream })) as Uint16Array
    expect(Buffer.from(found.buffer).equals(expected)).toBe(true)
  })

  it('orders streams by events, adopts memory and streams', async () => {
    using owned = device.empty({ shape: [2 ** 26], dtype: 'u8' })
    const foreign = device.wrap({ pointer: owned.pointer, shape: [2 ** 26], dtype: 'u8', owner: owned })
    // The legacy default stream, which every CUDA program has.
    using adopted = device.wrapStream(1n)
    using own = device.stream()
    for (let i = 0; i < 20; i++) owned.fillBytes(i, { stream: own })
    using filled = own.record()
    adopted.wait(filled)
    foreign.fillBytes(77, { stream: adopted })
    using done = adopted.record()
    await done.done()
    expect(done.elapsedSince(filled)).toBeGreaterThan(0)
    expect((await bytes(owned)).every((byte) => byte === 77)).toBe(true)
  })

  it('handles of one device are independent, and share its memory', async () => {
    const other = await openGpu()
    try {
      using tensor = device.empty({ shape: [1024], dtype: 'u8' })
      tensor.fillBytes(5)
      await device.synchronize()
      const seen = other.wrap({ pointer: tensor.pointer, shape: [1024], dtype: 'u8', owner: tensor })
      expect((await bytes(seen)).every((byte) => byte === 5)).toBe(true)
      expect(other.memory().liveBytes).toBe(0)
    } finally {
      await other.dispose()
    }
  })

  it('refuses what a graph cannot hold, and the stream stays usable', async () => {
    using tensor = device.empty({ shape: [16], dtype: 'u8' })
    const failure = caught(() => device.capture(() => tensor.write(new Uint8Array(16))))
    expect(isPolymlaError(failure, 'POLYMLA_CAPTURE_ILLEGAL')).toBe(true)
    using graph = device.capture(() => tensor.fillBytes(9))
    tensor.fillBytes(0)
    graph.replay()
    expect([...(await bytes(tensor))]).toEqual(new Array(16).fill(9))
  })

  it('refuses queries that begin where no 16 bytes do', () => {
    using work = workload(device, { batch: 1, width: 1, heads: 16 })
    work.update([64])
    using flat = device.empty({ shape: [16 * 576 + 8], dtype: 'bf16' })
    using out = device.empty({ shape: [1, 1, 16, 512], dtype: 'bf16' })
    const q = flat.view([1, 1, 16, 576], { offset: 1 })
    const cache = device.adoptKvStorage(work.cache, work.layout)
    const failure = caught(() => work.plan.run({ q, cache, out }))
    expect(isPolymlaError(failure, 'POLYMLA_UNSUPPORTED')).toBe(true)
    expect((failure as Error).message).toContain('multiples of 16')
  })

  it.each([16, 128])('takes lengths on the device as far as the table goes, %i heads', async (heads) => {
    using work = workload(device, { batch: 4, width: 3, heads })
    using lengths = device.upload(Int32Array.of(2 ** 31 - 1, -5, 193, 100), { shape: [4], dtype: 'i32' })
    using table = device.upload(work.table, { shape: [4, 3], dtype: 'i32' })
    work.plan.update({ seqlens: lengths, blockTable: table })
    poison(work.out)
    work.run()
    const found = await bitsOf(work)
    using clamped = device.upload(Int32Array.of(192, 0, 192, 100), { shape: [4], dtype: 'i32' })
    work.plan.update({ seqlens: clamped, blockTable: table })
    poison(work.out)
    work.run()
    expect(found).toEqual(await bitsOf(work))
  })

  it.skipIf(devices.length < 2)('runs several devices side by side (skipped with one)', async () => {
    const open = devices.map(({ id }) =>
      createRuntime({ backends: [cudaHopper()], env: {} }).selectDevice(id),
    )
    const all = await Promise.all(open)
    const results = await Promise.all(
      all.map(async (each) => {
        using work = workload(each, { batch: 7, width: 20, heads: 16 })
        work.update([1, 64, 65, 0, 1280, 700, 1000])
        work.run()
        return bitsOf(work)
      }),
    )
    for (const bits of results) expect(bits).toEqual(results[0])
    await Promise.all(all.map((each) => each.dispose()))
  })
})

function caught(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
