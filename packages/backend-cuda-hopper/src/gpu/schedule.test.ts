import { Random } from '@polymla/conformance'
import {
  type BackendBuffer,
  type BackendDevice,
  type BackendStream,
  computeSchedule,
  type DeviceInfo,
  decodeProblem,
  kvLayout,
  SCHEDULE_STRIDE,
  type TensorRef,
} from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cudaHopper } from '../backend.js'
import { gpu, skipped } from './devices.fixtures.js'

const MOST = 3000
const BATCHES = 6000
/** Batches that are in flight together. */
const TOGETHER = 100

describe.skipIf(gpu === null)(`schedules on the device${skipped}`, () => {
  let device: BackendDevice
  let stream: BackendStream
  const backend = cudaHopper()
  beforeAll(async () => {
    const info = (await backend.probe()).find(({ id }) => id === gpu) as DeviceInfo
    device = await backend.open(info)
    stream = device.createStream()
  })
  afterAll(async () => {
    stream?.dispose()
    await device?.dispose()
  })

  it.each([0, 1, 4, 30])(
    `are core's, bit for bit, over ${BATCHES} batches with splits of %i pages`,
    async (splitPages) => {
      const random = new Random(splitPages, 'schedules')
      const cache = kvLayout({ format: 'bf16', pages: 1 })
      const plan = device.prepare(
        decodeProblem({
          maxBatch: MOST,
          heads: 16,
          cache,
          blockTableWidth: 2000,
          softmaxScale: 1,
          splitPages,
        }),
      )
      const { maxPartitions } = plan.costModel as { maxPartitions: number }
      const rowWords = maxPartitions * SCHEDULE_STRIDE
      const words = MOST + rowWords + MOST + 1
      const buffers: BackendBuffer[] = Array.from({ length: TOGETHER }, () => device.alloc(words * 4))
      const found = buffers.map(() => new Int32Array(words))
      try {
        for (let begin = 0; begin < BATCHES; begin += TOGETHER) {
          const batches = buffers.map((buffer, i) => {
            const lengths = lengthsOf(random, 2000 * 64)
            const params = {
              partitions: random.integer(1, maxPartitions),
              fixedOverhead: random.pick([0, 1, 5, 8, 100]),
              pageSize: 64,
              splitPages,
            }
            const at = (offset: number, length: number): TensorRef => ({
              ...{ buffer, byteOffset: offset * 4, dtype: 'i32', shape: [length], strides: [1] },
            })
            stream.upload(buffer, 0, new Uint8Array(lengths.buffer))
            plan.schedule?.(stream, {
              batch: lengths.length,
              lengths: at(0, lengths.length),
              extraLengths: null,
              ...params,
              schedule: at(MOST, rowWords),
              numSplits: at(MOST + rowWords, lengths.length + 1),
            })
            stream.download(buffer, 0, new Uint8Array(found[i].buffer))
            return { lengths, params }
          })
          const event = stream.record()
          await event.done()
          event.dispose()
          batches.forEach(({ lengths, params }, i) => {
            const schedule = new Int32Array(rowWords)
            const numSplits = new Int32Array(lengths.length + 1)
            computeSchedule(lengths, lengths.length, params, schedule, numSplits)
            const rows = found[i].subarray(MOST, MOST + rowWords)
            const splits = found[i].subarray(MOST + rowWords, MOST + rowWords + lengths.length + 1)
            const same = isEqual(rows, schedule) && isEqual(splits, numSplits)
            expect(same, `batch ${begin + i}: ${JSON.stringify(params)} of ${lengths.length}`).toBe(true)
          })
        }
      } finally {
        for (const buffer of buffers) device.free(buffer)
        plan.dispose()
      }
    },
  )
})

/** Mostly small batches of short requests; some large, some long, some empty. */
function lengthsOf(random: Random, longest: number): Int32Array {
  const batch = random.chance(0.03) ? random.integer(200, MOST) : random.integer(1, 60)
  const usual = random.pick([3, 200, 5000, longest])
  return Int32Array.from({ length: batch }, () =>
    random.chance(0.15) ? 0 : random.integer(0, random.chance(0.1) ? longest : usual),
  )
}

const isEqual = (a: Int32Array, b: Int32Array) =>
  a.length === b.length && a.every((value, i) => value === b[i])
