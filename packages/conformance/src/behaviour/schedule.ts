import {
  type BackendDevice,
  type BackendPlan,
  computeSchedule,
  decodeProblem,
  kvLayout,
  SCHEDULE_STRIDE,
  type ScheduleArgs,
  type TensorRef,
} from '@polymla/core'
import { type Case, CaseSkipped, check } from '../cases/case.js'
import type { Random } from '../random.js'
import { behaviourCase, expectSame } from './workload.js'

const MAX_BATCH = 600

export const scheduleCases: readonly Case[] = [
  {
    name: 'behaviour/schedule/equals-host',
    problem: () => scheduleProblem(0),
    async run({ backend, random, device }) {
      if (!backend)
        throw new CaseSkipped('only a backend, not an open device, shows the schedules it computes')
      const info = (await backend.probe()).find(({ id }) => id === device.id)
      const own = info && (await backend.open(info))
      if (!own) throw new CaseSkipped(`the backend no longer lists ${device.id}`)
      try {
        for (const splitPages of [0, 3]) {
          const problem = scheduleProblem(splitPages)
          if (own.supports(problem) !== true) continue
          const plan = own.prepare(problem)
          try {
            await compareSchedules(own, plan, splitPages, random)
          } finally {
            plan.dispose()
          }
        }
      } finally {
        await own.dispose()
      }
      return []
    },
  },
  behaviourCase(
    'schedule/device-lengths',
    async ({ device }, work) => {
      const inputs = work.inputs()
      const rig = work.rig(inputs)
      rig.update()
      rig.run()
      const fromHost = await rig.results()
      rig.poisonOutputs()
      rig.update(undefined, 'device')
      rig.run()
      expectSame(fromHost, await rig.results(), `lengths on ${device.id} and on the host`)
    },
    // To a plan, lengths on the device are another input than lengths on the host: a cost model that does not see them
    // may choose other partitions, and so other cuts. Only fixed splits give the same bits.
    { splitPages: 2 },
  ),
]

function scheduleProblem(splitPages: number) {
  return decodeProblem({
    maxBatch: MAX_BATCH,
    heads: 16,
    cache: kvLayout({ format: 'bf16', pages: 64 }),
    blockTableWidth: 4000,
    softmaxScale: 0.04,
    splitPages,
  })
}

/** Lengths of every kind: none, one token, whole pages, a few long ones among many short. */
function lengthLists(random: Random): Int32Array[] {
  const list = (batch: number, length: () => number) => Int32Array.from({ length: batch }, length)
  return [
    list(1, () => 0),
    list(1, () => 1),
    list(1, () => 250_000),
    list(7, () => 64),
    list(64, () => random.integer(0, 9000)),
    list(MAX_BATCH, () => (random.chance(0.05) ? random.integer(10_000, 200_000) : random.integer(0, 300))),
    list(MAX_BATCH, () => (random.chance(0.5) ? 0 : 4096)),
  ]
}

async function compareSchedules(
  device: BackendDevice,
  plan: BackendPlan,
  splitPages: number,
  random: Random,
): Promise<void> {
  if (!plan.schedule || !plan.costModel)
    throw new CaseSkipped('the device takes no lengths of its own to schedule')
  const { maxPartitions } = plan.costModel
  const stream = device.createStream()
  const tensor = (shape: readonly number[]): TensorRef => {
    const count = shape.reduce((a, b) => a * b, 1)
    const strides = shape.map((_, dim) => shape.slice(dim + 1).reduce((a, b) => a * b, 1))
    return { dtype: 'i32', shape, strides, buffer: device.alloc(4 * count), byteOffset: 0 }
  }
  const lengths = tensor([MAX_BATCH])
  const schedule = tensor([maxPartitions, SCHEDULE_STRIDE])
  const numSplits = tensor([MAX_BATCH + 1])
  const download = async (source: TensorRef, count: number): Promise<Int32Array> => {
    const target = new Int32Array(count)
    stream.download(source.buffer, 0, new Uint8Array(target.buffer))
    const event = stream.record()
    await event.done()
    event.dispose()
    return target
  }
  for (const host of lengthLists(random)) {
    for (const partitions of new Set([1, Math.ceil(maxPartitions / 2), maxPartitions])) {
      const batch = host.length
      const params = { partitions, fixedOverhead: random.integer(0, 6), pageSize: 64, splitPages }
      stream.upload(lengths.buffer, 0, new Uint8Array(host.buffer))
      const args: ScheduleArgs = { batch, lengths, extraLengths: null, ...params, schedule, numSplits }
      plan.schedule(stream, args)
      const rows = new Int32Array(maxPartitions * SCHEDULE_STRIDE)
      const sums = new Int32Array(batch + 1)
      computeSchedule(host, batch, params, rows, sums)
      const found = [await download(schedule, rows.length), await download(numSplits, sums.length)]
      for (const [name, expected, actual] of [
        ['schedule', rows, found[0]],
        ['numSplits', sums, found[1]],
      ] as const) {
        const at = expected.findIndex((value, i) => value !== actual[i])
        check(
          at < 0,
          `${name} of ${batch} requests in ${partitions} partitions: entry ${at}: expected ${expected[at]}, found ${actual[at]}`,
        )
      }
    }
  }
  for (const { buffer } of [lengths, schedule, numSplits]) device.free(buffer)
  stream.dispose()
}
