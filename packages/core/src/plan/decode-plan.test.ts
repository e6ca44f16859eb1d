import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DecodeOptions } from '../problem/index.js'
import { computeSchedule } from '../scheduler/index.js'
import { decodePlan, lastArgs, step } from '../testing/decode-plans.js'
import type { MemoryOptions } from '../testing/memory-backend.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

const costModel = { maxPartitions: 6, choose: () => ({ partitions: 4, fixedOverhead: 2 }) }

let open: OpenMemory

async function openWith(options: MemoryOptions): Promise<OpenMemory> {
  await open.device.dispose()
  open = await openMemory(options)
  return open
}

beforeEach(async () => {
  open = await openMemory({ costModel, workspaceBytes: 1000 })
})

afterEach(async () => {
  expectNothingLeft(open)
  expect(open.memory.live.plans).toBe(0)
  await open.device.dispose()
})

const setup = (changes: Partial<DecodeOptions> = {}, batch = 3) => decodePlan(open, changes, batch)
const launched = () => lastArgs(open)

describe('update', () => {
  it('brings lengths, a block table padded to the width of the plan, and the schedule', () => {
    using made = setup()
    const { plan, run } = made
    expect(plan.batch).toBeNull()
    plan.update(step).run(run)
    const { seqlens, blockTable, schedule, numSplits, treeMask, splitPages } = launched()
    expect(open.memory.log).toEqual(['upload', 'launch decode'])
    expect([...integers(seqlens)].slice(0, 3)).toEqual([9, 0, 4])
    const table = [...integers(blockTable)]
    expect([table.length, table.slice(0, 3), table.slice(5, 8), table.slice(10, 13)]).toEqual([
      20,
      [1, 2, 3],
      [99, 99, 99],
      [7, 99, 99],
    ])
    expect([treeMask, splitPages, plan.batch]).toEqual([null, 0, 3])

    const expected = { schedule: new Int32Array(6 * 8), numSplits: new Int32Array(4) }
    const params = { partitions: 4, pageSize: 4, fixedOverhead: 2, splitPages: 0 }
    computeSchedule(Int32Array.of(9, 0, 4), 3, params, expected.schedule, expected.numSplits)
    expect(integers(schedule as never)).toEqual(expected.schedule)
    expect(integers(numSplits as never).subarray(0, 4)).toEqual(expected.numSplits)
    expect(plan.schedule).toEqual({
      partitions: 4,
      pageSize: 4,
      splitPages: 0,
      schedule: expected.schedule.subarray(0, 32),
      numSplits: expected.numSplits,
    })
  })

  it('copies what it is given, shared memory too', () => {
    using made = setup()
    const seqlens = new Int32Array(new SharedArrayBuffer(12))
    seqlens.set(step.seqlens)
    const blockTable = Int32Array.from(step.blockTable)
    made.plan.update({ seqlens, blockTable })
    seqlens.fill(20)
    blockTable.fill(-1)
    made.plan.run(made.run)
    expect([...integers(launched().seqlens)].slice(0, 3)).toEqual([9, 0, 4])
    expect(integers(launched().blockTable)[0]).toBe(1)
  })

  it('keeps the addresses of the step before', () => {
    using made = setup()
    const { plan, run } = made
    plan.update(step).run(run)
    const before = launched()
    plan.update({ seqlens: [1, 1, 1], blockTable: [0, 0, 0] }).run(run)
    expect(launched().seqlens.byteOffset).toBe(before.seqlens.byteOffset)
    expect(launched().seqlens.buffer).toBe(before.seqlens.buffer)
    expect([...integers(before.seqlens)].slice(0, 3)).toEqual([1, 1, 1])
  })

  it('takes tree masks with a plan for them', () => {
    using made = setup({ mask: 'tree' })
    const treeMask = [1, 3, 1, 2, 1, -1]
    made.plan.update({ ...step, treeMask }).run(made.run)
    expect([...integers(launched().treeMask as never)].slice(0, 6)).toEqual(treeMask)
  })

  it('of no requests enqueues nothing, and neither do its runs', () => {
    using made = setup({}, 0)
    made.plan.update({ seqlens: [], blockTable: [] }).run(made.run)
    expect([made.plan.batch, made.plan.schedule, open.memory.log]).toEqual([0, null, []])
  })

  it('fixes the splits where the plan asks for that', () => {
    using made = setup({ splitPages: 1 })
    made.plan.update(step).run(made.run)
    expect([...(made.plan.schedule?.numSplits ?? [])]).toEqual([0, 3, 4, 5])
    expect(launched().splitPages).toBe(1)
  })

  it.each([
    ['step', null],
    ['seqlens', {}],
    ['seqlens', { ...step, seqlens: Float32Array.of(1, 1, 1) }],
    ['seqlens[0]', { ...step, seqlens: [Symbol('1'), 1, 1] }],
    ['seqlens[0]', { ...step, seqlens: [1n, 1, 1] }],
    ['seqlens[1]', { ...step, seqlens: [1, 0.5, 1] }],
    ['seqlens[2]', { ...step, seqlens: [1, 1, 2 ** 31] }],
    ['seqlens[0]', { ...step, seqlens: [-1, 0, 0] }],
    ['seqlens[0]', { ...step, seqlens: [13, 0, 0] }],
    ['seqlens', { seqlens: [1, 1, 1, 1, 1], blockTable: [0, 0, 0, 0, 0] }],
    ['blockTable', { ...step, blockTable: undefined }],
    ['blockTable', { ...step, blockTable: [1, 2, 3, 4] }],
    ['blockTable', { ...step, blockTable: new Int32Array(18) }],
    ['blockTable[2]', { ...step, blockTable: [1, 2, 10, 0, 0, 0, 7, 0, 0] }],
    ['blockTable[6]', { ...step, blockTable: [1, 2, 3, 0, 0, 0, -1, 0, 0] }],
    ['treeMask', { ...step, treeMask: [1, 1, 1, 1, 1, 1] }],
    ['stale', { ...step, stale: 'yes' }],
    ['step.blocktable', { ...step, blocktable: step.blockTable }],
  ])('refuses %s before anything is written: %o', (path, bad) => {
    using made = setup()
    const { plan, run } = made
    plan.update(step)
    expect(() => plan.update(bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect(() => plan.update(step, null as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'options'))
    expect(open.memory.log).toEqual(['upload'])
    plan.run(run)
    expect(plan.batch).toBe(3)
  })

  it.each([[undefined], [[1, 1, 1]], [null]])('refuses the tree mask %o', (treeMask) => {
    using made = setup({ mask: 'tree' })
    expect(() => made.plan.update({ ...step, treeMask } as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'treeMask'),
    )
  })

  it('that cannot be scheduled leaves the plan as it was', () => {
    using made = setup({ blockTableWidth: 2 ** 15, splitPages: 1 })
    const { plan, run } = made
    plan.update(step)
    const { choose } = costModel
    costModel.choose = () => ({ partitions: 7, fixedOverhead: 0 })
    expect(() => plan.update({ seqlens: [1], blockTable: [1] })).toThrow(coded('POLYMLA_INTERNAL'))
    costModel.choose = choose
    plan.run(run)
    expect([plan.batch, plan.schedule?.numSplits.length, open.memory.log.length]).toEqual([3, 4, 2])
  })

  it('that fails to upload leaves a plan that refuses to run', () => {
    using made = setup()
    const { plan, run } = made
    plan.update(step)
    open.memory.options.failures = { upload: new Error('lost') }
    expect(() => plan.update(step)).toThrow('lost')
    expect([plan.batch, plan.schedule]).toEqual([null, null])
    expect(() => plan.run(run)).toThrow(coded('POLYMLA_PLAN_STALE'))
  })
})

describe('a backend without a cost model', () => {
  it('gets no schedule and no workspace', async () => {
    await openWith({})
    using made = setup()
    made.plan.update(step).run(made.run)
    expect(launched()).toMatchObject({ schedule: null, numSplits: null, workspace: null })
    expect([made.plan.schedule, made.plan.workspaceBytes]).toEqual([null, 0])
  })
})

describe('creation', () => {
  it('counts one plan and its memory, scratch included', () => {
    using made = setup()
    for (const handle of Object.values(made.run)) handle.dispose()
    // Sections of 48, 5, 4, 0 and 20 int32 in multiples of 256 bytes, and the scratch.
    const liveBytes = 4 * 256 + 1000
    expect(open.device.memory()).toMatchObject({ liveBytes, handles: { plan: 1 } })
    expect(made.plan.workspaceBytes).toBe(1000)
  })

  it('is refused with the reason of the backend', async () => {
    await openWith({ supports: ({ op }) => `no ${op} here` })
    expect(() => setup()).toThrow('decode on memory: no decode here')
  })

  it.each([
    ['device memory', { allocations: 0 }, {}],
    ['so much memory', {}, { maxBatch: 2 ** 31 - 1, blockTableWidth: 2 ** 31 - 1 }],
    ['room for its metadata', {}, { maxBatch: 2 ** 20, blockTableWidth: 2 ** 20 }],
    ['a shape that is exact', {}, { maxBatch: 0, queryTokens: 2 ** 31 - 1, mask: 'tree' }],
  ])('leaves nothing behind when there is no %s', async (_what, options, changes) => {
    await openWith(options)
    expect(() => setup(changes as object)).toThrow(expect.objectContaining({ name: 'PolymlaError' }))
  })
})
