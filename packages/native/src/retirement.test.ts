import { type BackendBuffer, type BackendStream, copyPagesProblem, kvLayout } from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countBecomes, failure, notRunnable, openPlugin, pluginCount, suite } from './plugins.fixtures.js'

const slow = { latency_ms: '5' }
const copyPages = copyPagesProblem({
  maxPairs: 1,
  cache: kvLayout({ format: 'bf16', pages: 2, pageSize: 1 }),
})
const BYTES = 2 * 576 * 2

describe.skipIf(notRunnable)(suite('what is disposed with work in flight'), () => {
  it.each(['memory', 'memory-polled'])('lives as long as the work: %s', async (plugin) => {
    const device = await openPlugin(plugin, slow)
    const [stream, idle] = [device.createStream(), device.createStream()]
    const [cache, pages, result] = [device.alloc(BYTES), device.alloc(8), device.alloc(BYTES)]
    const plan = device.prepare(copyPages)
    const ref = (buffer: BackendBuffer) => {
      return { dtype: 'u8' as const, shape: [1], strides: [1], buffer, byteOffset: 0 }
    }
    stream.fill(cache, 0, BYTES / 2, 7)
    stream.upload(pages, 0, new Uint8Array(Int32Array.of(0, 1).buffer))
    plan.launch(stream, { pairs: 1, cache: ref(cache), pages: ref(pages), workspace: null })
    stream.copy(cache, 0, result, 0, BYTES)
    const event = stream.record()
    idle.wait(event)
    const bytes = new Uint8Array(BYTES)
    idle.download(result, 0, bytes)
    const last = idle.record()
    for (const handle of [plan, event, stream, idle]) handle.dispose()
    for (const buffer of [cache, pages, result]) device.free(buffer)
    // Other work asks for the memory.
    const other = device.createStream()
    for (let i = 0; i < 4; i++) other.fill(device.alloc(BYTES), 0, BYTES, 255)
    await last.done()
    expect(bytes.every((byte) => byte === 7)).toBe(true)
    await device.dispose()
    expect(await pluginCount(plugin, 'misuses')).toBe(0)
    expect(await pluginCount(plugin, 'handles')).toBe(0)
  })

  it('goes at once where no work is under way', async () => {
    const device = await openPlugin('memory')
    const stream = device.createStream()
    const buffer = device.alloc(4)
    stream.fill(buffer, 0, 4, 1)
    await stream.record().done()
    const before = await pluginCount('memory', 'handles')
    device.free(buffer)
    device.free(buffer)
    expect(await pluginCount('memory', 'handles')).toBe(before - 1)
    await device.dispose()
  })

  it('waits for no stream that began later', async () => {
    const device = await openPlugin('memory', { latency_ms: '20' })
    const [first, second] = [device.createStream(), device.createStream()]
    const [freed, kept] = [device.alloc(100), device.alloc(4)]
    first.fill(freed, 0, 4, 1)
    device.free(freed)
    for (let i = 0; i < 50; i++) second.fill(kept, 0, 4, 1)
    const event = second.record()
    await countBecomes('memory', 'bytes', 4)
    expect(event.query()).toBe(false)
    await device.dispose()
  })

  it('is named when memory runs out, and serves the next call', async () => {
    const device = await openPlugin('memory', { latency_ms: '50', limit_bytes: '1000' })
    const stream = device.createStream()
    const buffer = device.alloc(600)
    stream.fill(buffer, 0, 600, 1)
    const event = stream.record()
    device.free(buffer)
    const held = failure(
      'POLYMLA_OUT_OF_MEMORY',
      'holds 600 bytes that were freed: await device.synchronize()',
    )
    expect(() => device.alloc(600)).toThrow(held)
    await event.done()
    device.free(device.alloc(600))
    const plain = failure('POLYMLA_OUT_OF_MEMORY', 'Ask for less')
    expect(() => device.alloc(2000)).toThrow(plain)
    await device.dispose()
  })

  it('leaves nothing behind after a thousand rounds', async () => {
    const device = await openPlugin('memory')
    const before = await pluginCount('memory', 'handles')
    for (let round = 0; round < 1000; round++) {
      const stream = device.createStream()
      const buffer = device.alloc(64)
      const plan = device.prepare(copyPages)
      stream.fill(buffer, 0, 64, round)
      const event = stream.record()
      stream.beginCapture!()
      stream.fill(buffer, 0, 64, 0)
      const graph = stream.endCapture!()
      graph.launch(stream)
      if (round % 10 === 0) await event.done()
      for (const handle of [graph, event, plan, stream]) handle.dispose()
      device.free(buffer)
    }
    await device.dispose()
    expect(before).toBe(1)
    expect(await pluginCount('memory', 'handles')).toBe(0)
    expect(await pluginCount('memory', 'misuses')).toBe(0)
  })

  it('may be disposed in any order between any calls', async () => {
    type Call = { readonly kind: number; readonly a: number; readonly b: number }
    const calls = fc.array(
      fc.record({ kind: fc.nat({ max: 9 }), a: fc.nat({ max: 3 }), b: fc.nat({ max: 3 }) }),
      {
        maxLength: 60,
      },
    )
    const property = fc.asyncProperty(
      calls,
      fc.constantFrom('memory', 'memory-polled'),
      async (list, plugin) => {
        const device = await openPlugin(plugin, { latency_ms: '0' })
        const streams: BackendStream[] = [0, 1, 2, 3].map(() => device.createStream())
        const buffers = [0, 1, 2, 3].map(() => device.alloc(16))
        const events = streams.map((stream) => stream.record())
        const step = async ({ kind, a, b }: Call) => {
          if (kind === 0) streams[a].fill(buffers[b], 0, 16, b)
          else if (kind === 1) streams[a].download(buffers[b], 0, new Uint8Array(16))
          else if (kind === 2) streams[a].wait(events[b])
          else if (kind === 3) events[a].query()
          else if (kind === 4) await events[a].done()
          else if (kind === 5) {
            device.free(buffers[a])
            buffers[a] = device.alloc(16)
          } else if (kind === 6) {
            streams[a].dispose()
            streams[a] = device.createStream()
          } else if (kind === 7) {
            events[a].dispose()
            events[a] = streams[b].record()
          } else if (kind === 8) device.prepare(copyPages).dispose()
          else {
            streams[a].beginCapture!()
            streams[a].fill(buffers[b], 0, 16, 1)
            const graph = streams[a].endCapture!()
            graph.launch(streams[b])
            graph.dispose()
          }
        }
        for (const call of list) await step(call)
        await device.dispose()
        expect(await pluginCount(plugin, 'handles')).toBe(0)
        expect(await pluginCount(plugin, 'misuses')).toBe(0)
      },
    )
    await fc.assert(property, { numRuns: 50 })
  })
})
