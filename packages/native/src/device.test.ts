import {
  type BackendDevice,
  createRuntime,
  decodeProblem,
  kvLayout,
  mergeStatesProblem,
  type Problem,
  sparsePrefillProblem,
} from '@polymla/core'
import { afterEach, describe, expect, it } from 'vitest'
import type { NativeBuffer } from './buffer.js'
import { failure, notRunnable, openPlugin, pluginBackend, suite } from './plugins.fixtures.js'

const decode = decodeProblem({
  maxBatch: 4,
  heads: 16,
  cache: kvLayout({ format: 'bf16', pages: 8 }),
  blockTableWidth: 2,
  softmaxScale: 0.1,
})
const load = { batch: 2, totalPages: 8, maxPages: 6 }

describe.skipIf(notRunnable)(suite('a device'), () => {
  const devices: BackendDevice[] = []
  const open = async (plugin: string, options: Record<string, string> = {}) => {
    const device = await openPlugin(plugin, options)
    devices.push(device)
    return device
  }
  afterEach(async () => {
    for (const device of devices.splice(0)) await device.dispose()
  })

  it('gives memory aligned to 256 bytes, at an address', async () => {
    const device = await open('memory')
    const buffer = device.alloc(1)
    expect(buffer.bytes).toBe(1)
    expect(buffer.pointer! > 0n && buffer.pointer! % 256n === 0n).toBe(true)
    device.free(buffer)
  })

  it('says how much memory there is', async () => {
    const device = await open('memory')
    const before = device.memory!().freeBytes
    device.alloc(4096)
    expect(device.memory!()).toEqual({ totalBytes: 2 ** 40, freeBytes: before - 4096 })
  })

  it('works on memory of somebody else', async () => {
    const device = await open('memory')
    const own = device.alloc(16) as NativeBuffer
    const adopted = device.adopt!(own.pointer + 4n, 8)
    const stream = device.createStream()
    stream.fill(own, 0, 16, 1)
    stream.fill(adopted, 2, 4, 7)
    const bytes = new Uint8Array(16)
    stream.download(own, 0, bytes)
    await stream.record().done()
    expect([...bytes]).toEqual([1, 1, 1, 1, 1, 1, 7, 7, 7, 7, 1, 1, 1, 1, 1, 1])
  })

  it('refuses addresses that a number does not hold', async () => {
    const device = await open('memory')
    expect(() => device.adopt!(2n ** 53n, 1)).toThrow(failure('POLYMLA_UNSUPPORTED', '2^53'))
  })

  it('adopts streams, but not the one whose address is NULL', async () => {
    const device = await open('noop')
    device.adoptStream!(2n ** 63n).dispose()
    expect(() => device.adoptStream!(0n)).toThrow(failure('POLYMLA_INVALID_ARGUMENT', 'pointer'))
  })

  it('measures its peaks, and closes only afterwards', async () => {
    const device = await open('noop')
    const [peaks] = await Promise.all([device.measurePeaks!(), device.dispose()])
    expect(peaks).toMatchObject({ readBytesPerSecond: 1e9, f32FlopsPerSecond: 2e9, bf16FlopsPerSecond: 0 })
  })

  it('has no optional member that its library lacks', async () => {
    const device = await open('minimal')
    expect([device.memory, device.measurePeaks]).toEqual([undefined, undefined])
    const stream = device.createStream()
    expect([stream.beginCapture, stream.endCapture]).toEqual([undefined, undefined])
    expect(device.supports(decode)).toBe(true)
    expect(device.prepare(decode).costModel).toBeUndefined()
    const refused = sparsePrefillProblem({ queryTokens: 1, heads: 8, keys: 8, topk: 8, softmaxScale: 1 })
    expect(device.supports(refused)).toBe('the backend does not have this op')
  })

  it('does not adopt what its library cannot', async () => {
    expect((await open('memory')).adoptStream).toBeUndefined()
  })

  it.each([
    ['fit-no', 'heads 7: only multiples of 8 are implemented'],
    ['fit-unknown', 'format 9 of the cache is not known'],
  ])('answers supports() with the reason of its library: %s', async (fault, reason) => {
    const device = await open('faulty', { fault })
    expect(device.supports(decode)).toBe(reason)
    expect(() => device.prepare(decode)).toThrow(failure('POLYMLA_UNSUPPORTED', reason))
  })

  it('refuses a problem that its library answers absurdly', async () => {
    const device = await open('faulty', { fault: 'fit-absurd' })
    expect(device.supports(decode)).toMatch(/18446744073709551615 bytes.*-5 partitions/)
  })

  it.each([
    ['fit-fails', (device: BackendDevice) => device.supports(decode), 'POLYMLA_INTERNAL', 'table of kernels'],
    ['plan-oom', (device: BackendDevice) => device.prepare(decode), 'POLYMLA_OUT_OF_MEMORY', ''],
    ['alloc-oom', (device: BackendDevice) => device.alloc(1), 'POLYMLA_OUT_OF_MEMORY', 'Ask for less'],
    ['garbage-status', (device: BackendDevice) => device.alloc(1), 'POLYMLA_INTERNAL', '12345'],
  ])('passes on %s', async (fault, call, code, message) => {
    const device = await open('faulty', { fault })
    expect(() => call(device)).toThrow(failure(code, message, { device: 'faulty:0' }))
  })

  it('knows the workspace of a plan, and schedules where the library wants schedules', async () => {
    const plan = (await open('noop', { workspace_bytes: '4096', partitions: '7' })).prepare(decode)
    expect(plan.workspaceBytes).toBe(4096)
    expect(plan.costModel!.maxPartitions).toBe(7)
    expect(plan.costModel!.choose(load)).toEqual({ partitions: 7, fixedOverhead: 5 })
    expect(plan.schedule).toBeTypeOf('function')
  })

  it('takes the constants of fit where the library does not choose', async () => {
    const plan = (await open('minimal', { partitions: '3' })).prepare(decode)
    expect(plan.costModel!.choose(load)).toEqual({ partitions: 3, fixedOverhead: 5 })
    expect(plan.schedule).toBeUndefined()
  })

  it('has no schedule for ops without one', async () => {
    const merge: Problem = mergeStatesProblem({ parts: 2, batch: 1, heads: 1 })
    expect((await open('noop', { partitions: '7' })).prepare(merge).costModel).toBeUndefined()
  })

  it('leaves an absurd choice to core, which refuses it', async () => {
    const backend = pluginBackend('faulty', { fault: 'choose-absurd', partitions: '4' })
    const device = await createRuntime({ backends: [backend], env: {} }).selectDevice('faulty')
    const { op: _, ...options } = decode
    using plan = device.planDecode(options)
    const step = { seqlens: [1], blockTable: [0] }
    expect(() => plan.update(step)).toThrow(failure('POLYMLA_INTERNAL', 'cost model'))
    await device.dispose()
  })

  it('refuses calls after dispose(), which may be called twice', async () => {
    const device = await open('memory')
    const stream = device.createStream()
    const buffer = device.alloc(4)
    const event = stream.record()
    await Promise.all([device.dispose(), device.dispose()])
    for (const call of [
      () => device.alloc(1),
      () => device.createStream(),
      () => device.supports(decode),
      () => device.memory!(),
      () => stream.fill(buffer, 0, 4, 0),
      () => event.query(),
    ]) {
      expect(call).toThrow(failure('POLYMLA_DISPOSED'))
    }
    stream.dispose()
    event.dispose()
    device.free(buffer)
  })
})
