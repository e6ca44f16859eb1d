import type { Device } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpu, openGpu, skipped } from './devices.fixtures.js'
import { bitsOf, poison, type Workload, workload } from './workload.fixtures.js'

const SHAPES = [
  { batch: 5, width: 70, heads: 16 },
  { batch: 3, width: 70, heads: 128, queryTokens: 2, mask: 'causal' },
  { batch: 40, width: 9, heads: 64 },
  { batch: 5, width: 70, heads: 16, splitPages: 5 },
  { batch: 4, width: 40, heads: 16, queryTokens: 5, mask: 'none', splitPages: 3 },
] as const

describe.skipIf(gpu === null)(`repeated launches${skipped}`, () => {
  let device: Device
  beforeAll(async () => {
    device = await openGpu()
  })
  afterAll(() => device?.dispose())

  it.each(SHAPES)('1,000 give the same bits: %o', async (shape) => {
    using work = workload(device, shape)
    work.update(lengthsOf(shape.batch, shape.width))
    work.run()
    const first = await bitsOf(work)
    for (let round = 0; round < 1000; round++) {
      poison(work.out)
      poison(work.lse)
      work.run()
      expect(await same(work, first), `run ${round + 2}`).toBe(true)
    }
  })

  it('a captured graph over 200 growing steps gives the bits of fresh calls', async () => {
    using work = workload(device, { batch: 6, width: 24, heads: 16 })
    using fresh = workload(device, { batch: 6, width: 24, heads: 16 })
    const start = [1, 60, 63, 500, 1200, 0]
    work.update(start)
    using graph = device.capture(() => work.run())
    for (let step = 0; step < 200; step++) {
      const lengths = start.map((length, request) => length + step * (request === 5 ? 7 : 1))
      poison(work.out)
      work.update(lengths)
      graph.replay()
      fresh.update(lengths)
      fresh.run()
      expect(await same(work, await bitsOf(fresh)), `step ${step}`).toBe(true)
    }
  })

  it('a captured graph with lengths on the device follows them', async () => {
    using work = workload(device, { batch: 6, width: 24, heads: 128 })
    using fresh = workload(device, { batch: 6, width: 24, heads: 128 })
    using lengths = device.empty({ shape: [6], dtype: 'i32' })
    using table = device.upload(work.table, { shape: [6, 24], dtype: 'i32' })
    const write = (step: number) => {
      const values = [1 + step, 64 * step, 1500, 0, 900 + step, 63 + step]
      lengths.write(Int32Array.from(values))
      return values
    }
    write(0)
    using graph = device.capture(() => {
      work.plan.update({ seqlens: lengths, blockTable: table })
      work.run()
    })
    for (let step = 0; step < 24; step++) {
      const values = write(step)
      poison(work.out)
      graph.replay()
      using onDevice = device.upload(Int32Array.from(values), { shape: [6], dtype: 'i32' })
      fresh.plan.update({ seqlens: onDevice, blockTable: table })
      fresh.run()
      expect(await same(work, await bitsOf(fresh)), `step ${step}`).toBe(true)
    }
  })

  const lengthsOf = (batch: number, width: number) =>
    Array.from({ length: batch }, (_, request) => (request * 977 + 61) % (width * 64))

  async function same(work: Workload, [out, lse]: [Uint16Array, Float32Array]): Promise<boolean> {
    const [foundOut, foundLse] = await bitsOf(work)
    return (
      Buffer.from(foundOut.buffer).equals(Buffer.from(out.buffer)) &&
      Buffer.from(foundLse.buffer).equals(Buffer.from(lse.buffer))
    )
  }
})
