import { afterEach, describe, expect, it } from 'vitest'
import { computeSchedule } from '../scheduler/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { decodePlan, lastArgs, step } from '../testing/decode-plans.js'
import type { MemoryOptions } from '../testing/memory-backend.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

const costModel = { maxPartitions: 4, choose: () => ({ partitions: 3, fixedOverhead: 1 }) }
let open: OpenMemory

afterEach(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

async function openWith(options: MemoryOptions): Promise<OpenMemory> {
  open = await openMemory(options)
  return open
}

function onDevice(values: number[], shape = [values.length]): Tensor<'i32'> {
  return open.device.upload(Int32Array.from(values), { shape, dtype: 'i32' })
}

function scheduleOf(lengths: number[]): number[] {
  const schedule = new Int32Array(4 * 8)
  const params = { partitions: 3, pageSize: 4, fixedOverhead: 1 }
  computeSchedule(Int32Array.from(lengths), lengths.length, params, schedule, new Int32Array(5))
  return [...schedule]
}

describe.each([[true], [false]])('a captured run, native graphs: %s', (graphs) => {
  it('sees the lengths of each update', async () => {
    await openWith({ graphs, costModel })
    using made = decodePlan(open)
    const { plan, run } = made
    plan.update(step)
    using graph = open.device.capture(() => plan.run(run))
    graph.replay()
    const args = lastArgs(open)
    expect([...integers(args.seqlens)].slice(0, 3)).toEqual([9, 0, 4])
    plan.update({ seqlens: [1, 2, 3], blockTable: [5, 6, 7] })
    graph.replay()
    expect(lastArgs(open).seqlens.buffer).toBe(args.seqlens.buffer)
    expect([...integers(lastArgs(open).seqlens)].slice(0, 3)).toEqual([1, 2, 3])
    expect([...integers(lastArgs(open).schedule as never)]).toEqual(scheduleOf([1, 2, 3]))
    expect(open.memory.launches).toHaveLength(2)
  })

  it('keeps its own arguments while the plan runs other layers', async () => {
    await openWith({ graphs })
    using made = decodePlan(open)
    using second = decodePlan(open)
    const { plan, run } = made
    plan.update(step)
    using graph = open.device.capture(() => plan.run(run))
    plan.run({ ...run, q: second.run.q, lse: null })
    graph.replay()
    expect(open.memory.launches.map(({ args }) => (args as { q: unknown }).q)).toEqual([second.run.q, run.q])
    expect(lastArgs(open).lse).toBe(run.lse)
  })

  it('refuses to replay with another batch, a moved cache or a disposed plan', async () => {
    await openWith({ graphs })
    using made = decodePlan(open)
    const { plan, run } = made
    plan.update(step)
    using graph = open.device.capture(() => plan.run(run))
    plan.update({ seqlens: [1], blockTable: [1] })
    expect(() => graph.replay()).toThrow(coded('POLYMLA_PLAN_STALE'))
    plan.update({ ...step, stale: () => 'sequence 1 was freed' })
    expect(() => graph.replay()).toThrow('sequence 1 was freed')
    plan.update(step)
    graph.replay()
    plan.dispose()
    expect(() => graph.replay()).toThrow(coded('POLYMLA_DISPOSED'))
    expect(open.memory.launches).toHaveLength(1)
  })

  it('replays after the last use of its plan on another stream', async () => {
    await openWith({ graphs })
    using made = decodePlan(open)
    const { plan, run } = made
    using stream = open.device.stream()
    plan.update(step)
    using graph = open.device.capture(() => plan.run(run))
    plan.run({ ...run, stream })
    graph.replay()
    expect(open.memory.log).toEqual(['upload', 'wait', 'launch decode', 'wait', 'launch decode'])
  })

  it('cannot be captured with an update from the host', async () => {
    await openWith({ graphs })
    using made = decodePlan(open)
    made.plan.update(step)
    expect(() => open.device.capture(() => made.plan.update(step))).toThrow(coded('POLYMLA_CAPTURE_ILLEGAL'))
    made.plan.run(made.run)
  })

  it('can be captured with an update from the device, which each replay repeats', async () => {
    await openWith({ graphs, costModel, schedules: true })
    using made = decodePlan(open, { blockTableWidth: 3 })
    const { plan, run } = made
    using seqlens = onDevice(step.seqlens)
    using blockTable = onDevice(step.blockTable, [3, 3])
    using graph = open.device.capture(() => {
      plan.update({ seqlens, blockTable })
      plan.run(run)
    })
    expect([open.memory.log, plan.schedule]).toEqual([['upload', 'upload'], null])
    seqlens.write(Int32Array.of(3, 5, 0))
    graph.replay()
    expect(open.memory.log.slice(3)).toEqual(['copy', 'schedule', 'copy', 'launch decode'])
    expect([...integers(lastArgs(open).seqlens)].slice(0, 3)).toEqual([3, 5, 0])
    expect([...integers(lastArgs(open).schedule as never)]).toEqual(scheduleOf([3, 5, 0]))
  })

  it('leaves a captured update that outlives its plan unreplayable', async () => {
    await openWith({ graphs })
    using made = decodePlan(open, { blockTableWidth: 3 })
    using seqlens = onDevice(step.seqlens)
    using blockTable = onDevice(step.blockTable, [3, 3])
    using graph = open.device.capture(() => made.plan.update({ seqlens, blockTable }))
    graph.replay()
    made.plan.dispose()
    expect(() => graph.replay()).toThrow(coded('POLYMLA_DISPOSED'))
  })
})

describe('an update from the device', () => {
  it('mixes with tables and masks from the host', async () => {
    await openWith({ costModel, schedules: true })
    using made = decodePlan(open, { mask: 'tree', blockTableWidth: 3 })
    using seqlens = onDevice(step.seqlens)
    using table = onDevice(step.blockTable, [3, 3])
    using masks = onDevice([1, 3, 1, 3, 1, 3], [3, 2, 1])
    const treeMask = [2, 2, 2, 2, 2, 2]
    made.plan.update({ seqlens, blockTable: step.blockTable, treeMask: masks }).run(made.run)
    expect([...integers(lastArgs(open).blockTable)].slice(0, 9)).toEqual(step.blockTable)
    expect([...integers(lastArgs(open).treeMask as never)].slice(0, 6)).toEqual([1, 3, 1, 3, 1, 3])
    expect([...integers(lastArgs(open).seqlens)].slice(0, 3)).toEqual(step.seqlens)
    expect([...integers(lastArgs(open).schedule as never)]).toEqual(scheduleOf(step.seqlens))
    made.plan.update({ seqlens: step.seqlens, blockTable: table, treeMask }).run(made.run)
    expect([...integers(lastArgs(open).treeMask as never)].slice(0, 6)).toEqual(treeMask)
    expect(made.plan.schedule?.partitions).toBe(3)
  })

  it('of no requests enqueues nothing', async () => {
    await openWith({ costModel, schedules: true })
    using made = decodePlan(open, {}, 0)
    using none = onDevice([])
    using table = onDevice([], [0, 5])
    made.plan.update({ seqlens: none, blockTable: table }).run(made.run)
    expect([made.plan.batch, open.memory.log]).toEqual([0, []])
  })

  it('of requests without pages copies none', async () => {
    await openWith({})
    using made = decodePlan(open, { blockTableWidth: 0 })
    using table = onDevice([], [3, 0])
    made.plan.update({ seqlens: [0, 0, 0], blockTable: table }).run(made.run)
    expect(open.memory.log).toEqual(['upload', 'launch decode'])
  })

  it('needs a backend that schedules there', async () => {
    await openWith({ costModel })
    using made = decodePlan(open)
    using seqlens = onDevice(step.seqlens)
    expect(() => made.plan.update({ ...step, seqlens })).toThrow(coded('POLYMLA_UNSUPPORTED'))
    await open.device.synchronize()
    expect(open.memory.log).toEqual(['upload'])
  })

  it('needs tensors of the right shape on this device', async () => {
    await openWith({ costModel, schedules: true })
    using made = decodePlan(open)
    using seqlens = onDevice(step.seqlens)
    using five = onDevice([1, 1, 1, 1, 1])
    using square = onDevice([1, 1, 1, 1], [2, 2])
    using narrow = onDevice(step.blockTable, [3, 3])
    using bytes = open.device.zeros({ shape: [3], dtype: 'u8' })
    const before = open.memory.log.length
    for (const [path, bad] of [
      ['seqlens', { ...step, seqlens: five }],
      ['seqlens', { ...step, seqlens: square }],
      ['seqlens', { ...step, seqlens: bytes }],
      ['blockTable.shape[1]', { seqlens, blockTable: narrow }],
      ['blockTable', { seqlens, blockTable: five }],
    ] as const) {
      expect(() => made.plan.update(bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    }
    expect(open.memory.log).toHaveLength(before)
  })
})
