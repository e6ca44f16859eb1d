import type { Device, Tensor } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpu, openGpu, skipped } from './devices.fixtures.js'
import { bitsOf, type Workload, workload } from './workload.fixtures.js'

const WIDTH = 20
const ROUNDS = 60
// With splitPages a step is three kernels, which begin early in streams, too: without their waits the results are others.
const SHAPES = [
  { heads: 16 },
  { heads: 128 },
  { heads: 16, splitPages: 3 },
  { heads: 128, splitPages: 3 },
] as const

describe.skipIf(gpu === null)(`kernels that may begin before the one ahead of them ends${skipped}`, () => {
  let device: Device
  beforeAll(async () => {
    device = await openGpu()
  })
  afterAll(() => device?.dispose())

  it.each(SHAPES)('a chain of launches gives what one launch at a time gives: %o', async (shape) => {
    const expected = await chain(shape, async (work, launches) => {
      work.update([WIDTH * 64])
      for (const launch of launches) {
        launch()
        await device.synchronize()
      }
    })
    const inStream = await chain(shape, async (work, launches) => {
      work.update([WIDTH * 64])
      for (const launch of launches) launch()
    })
    expect(inStream).toEqual(expected)
    const inGraph = await chain(shape, async (work, launches) => {
      work.update([WIDTH * 64])
      using graph = device.capture(() => {
        for (const launch of launches) launch()
      })
      graph.replay()
      await device.synchronize()
    })
    expect(inGraph).toEqual(expected)
  })

  /** Rounds of decode over one request and the appending of what it gave for each head as new keys; all bits at the end. */
  async function chain(
    shape: (typeof SHAPES)[number],
    run: (work: Workload, launches: readonly (() => void)[]) => Promise<void>,
  ): Promise<unknown> {
    using work = workload(device, { batch: 1, width: WIDTH, ...shape })
    const cache = device.adoptKvStorage(work.cache, work.layout)
    using ropeKey = device.upload(new Uint16Array(shape.heads * 64), {
      shape: [shape.heads, 1, 64],
      dtype: 'bf16',
    })
    const latent = work.out.view([shape.heads, 1, 512])
    const slots: Tensor<'i32'>[] = []
    const launches: (() => void)[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const places = Int32Array.from({ length: shape.heads }, (_, head) => {
        const token = (round * shape.heads + head) % (WIDTH * 64)
        return work.table[token >> 6] * 64 + (token & 63)
      })
      const own = device.upload(places, { shape: [shape.heads], dtype: 'i32' })
      slots.push(own)
      launches.push(
        () => work.run(),
        () => device.appendKv({ latent, ropeKey, slots: own, cache }),
      )
    }
    await run(work, launches)
    const [out, lse] = await bitsOf(work)
    const keys = await work.cache.download()
    for (const tensor of slots) tensor.dispose()
    return [out, lse, keys].map((array) =>
      Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64'),
    )
  }
})
