import { afterEach, describe, expect, it } from 'vitest'
import { kvLayout } from '../kv-cache/formats.js'
import type { SparseDecodeOptions } from '../problem/index.js'
import { computeSchedule, sparseLengths } from '../scheduler/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Launch, MemoryOptions } from '../testing/memory-backend.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

const costModel = { maxPartitions: 5, choose: () => ({ partitions: 3, fixedOverhead: 5 }) }
const layout = kvLayout({ format: 'e4m3', pages: 6, pageSize: 4, headDim: 32 })
const extra = { cache: kvLayout({ ...layout, pages: 2, pageSize: 8, pageStride: undefined }), topk: 100 }
let open: OpenMemory

afterEach(async () => {
  expectNothingLeft(open)
  expect(open.memory.live.plans).toBe(0)
  await open.device.dispose()
})

async function setup(options: MemoryOptions, changes: Partial<SparseDecodeOptions> = {}) {
  open = await openMemory(options)
  const { device } = open
  const plan = device.planSparseDecode({
    ...{ maxBatch: 4, heads: 3, valueDim: 16, cache: layout, topk: 130, softmaxScale: 1 },
    ...changes,
  })
  const run = {
    q: device.empty({ shape: [3, 1, 3, 32], dtype: 'bf16' }),
    cache: device.createKvStorage(layout),
    indices: device.empty({ shape: [3, 1, 130], dtype: 'i32' }),
    out: device.empty({ shape: [3, 1, 3, 16], dtype: 'bf16' }),
    lse: device.empty({ shape: [3, 3, 1], dtype: 'f32' }),
  }
  const extras = {
    sink: device.empty({ shape: [3], dtype: 'f32' }),
    extraCache: device.createKvStorage(extra.cache),
    extraIndices: device.empty({ shape: [3, 1, 100], dtype: 'i32' }),
  }
  const dispose = () => {
    for (const handle of [plan, ...Object.values(run), ...Object.values(extras)]) handle.dispose()
  }
  return { plan, run, extras, [Symbol.dispose]: dispose }
}

function onDevice(values: number[]): Tensor<'i32'> {
  return open.device.upload(Int32Array.from(values), { shape: [values.length], dtype: 'i32' })
}

function launched(): Launch<'sparseDecode'>['args'] {
  return open.memory.launches[open.memory.launches.length - 1].args as Launch<'sparseDecode'>['args']
}

function scheduleOf(load: Omit<Parameters<typeof sparseLengths>[0], 'batch'>): number[] {
  const lengths = new Int32Array(3)
  sparseLengths({ batch: 3, ...load }, 64, lengths)
  const schedule = new Int32Array(5 * 8)
  const params = { partitions: 3, pageSize: 64, fixedOverhead: 5 }
  computeSchedule(lengths, 3, params, schedule, new Int32Array(4))
  return [...schedule]
}

describe('run', () => {
  it('launches with what it was given, and a schedule of the indices', async () => {
    using made = await setup({ costModel, workspaceBytes: 8 })
    const { plan, run } = made
    plan.update({ batch: 3 }).run(run)
    expect(launched()).toMatchObject({
      batch: 3,
      q: run.q,
      cache: run.cache.tensor,
      indices: run.indices,
      topkLength: null,
      extraCache: null,
      extraIndices: null,
      extraTopkLength: null,
      sink: null,
      out: run.out,
      lse: run.lse,
      descaleK: 1,
      splitPages: 0,
      workspace: { shape: [8] },
    })
    expect([...integers(launched().schedule as never)]).toEqual(scheduleOf({ topk: 130 }))
    expect(plan.schedule).toMatchObject({ partitions: 3, pageSize: 64 })
  })

  it('brings lengths, a sink and an extra cache where the problem has them', async () => {
    using made = await setup(
      { costModel },
      { topkLength: true, sink: true, extra: { ...extra, topkLength: true } },
    )
    const { plan, run, extras } = made
    const lengths = { topkLength: [0, 130, 7], extraTopkLength: Int32Array.of(1, 0, 100) }
    plan.update({ batch: 3, ...lengths }).run({ ...run, ...extras, descaleK: 3 })
    expect(launched()).toMatchObject({
      sink: extras.sink,
      extraCache: extras.extraCache.tensor,
      extraIndices: extras.extraIndices,
      descaleK: 3,
    })
    expect([...integers(launched().topkLength as never)].slice(0, 3)).toEqual([0, 130, 7])
    expect([...integers(launched().extraTopkLength as never)].slice(0, 3)).toEqual([1, 0, 100])
    const load = {
      topk: 130,
      topkLength: Int32Array.from(lengths.topkLength),
      extraTopk: 100,
      extraTopkLength: lengths.extraTopkLength,
    }
    expect([...integers(launched().schedule as never)]).toEqual(scheduleOf(load))
  })

  it('of no requests enqueues nothing', async () => {
    using made = await setup({ costModel })
    const { device } = open
    using q = device.empty({ shape: [0, 1, 3, 32], dtype: 'bf16' })
    using indices = device.empty({ shape: [0, 1, 130], dtype: 'i32' })
    using out = device.empty({ shape: [0, 1, 3, 16], dtype: 'bf16' })
    made.plan.update({ batch: 0 }).run({ q, indices, out, cache: made.run.cache })
    expect([open.memory.log, made.plan.schedule]).toEqual([[], null])
  })

  it('refuses what the problem lacks, and the lack of what it has', async () => {
    using made = await setup({}, { sink: true, extra })
    const { plan, run, extras } = made
    const { op: _, ...options } = plan.problem
    using plain = open.device.planSparseDecode({ ...options, sink: false, extra: null })
    for (const each of [plan, plain]) each.update({ batch: 3 })
    const all = { ...run, ...extras }
    for (const path of Object.keys(extras)) {
      expect(() => plan.run({ ...all, [path]: undefined })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
      const one = { [path]: extras[path as keyof typeof extras] }
      expect(() => plain.run({ ...run, ...one })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    }
    for (const [path, bad] of [
      ['run', null],
      ['q', { ...all, q: run.out }],
      ['indices', { ...all, indices: extras.extraIndices }],
      ['indices', { ...all, indices: run.q }],
      ['out', { ...all, out: run.q }],
      ['lse', { ...all, lse: run.out }],
      ['run.descaleQ', { ...all, descaleQ: 1 }],
      ['sink', { ...all, sink: run.lse }],
      ['cache', { ...all, cache: extras.extraCache }],
      ['extraCache', { ...all, extraCache: run.cache }],
      ['extraIndices', { ...all, extraIndices: run.indices }],
      ['descaleK', { ...all, descaleK: -1 }],
    ] as const) {
      expect(() => plan.run(bad as never)).toThrow(
        expect.objectContaining({
          code: 'POLYMLA_INVALID_ARGUMENT',
          path: expect.stringMatching(`^${path}`),
        }),
      )
    }
    expect(open.memory.launches).toEqual([])
  })
})

describe('update', () => {
  it.each([
    ['step', null],
    ['batch', {}],
    ['step.topkLengths', { batch: 3, topkLengths: [1, 1, 1] }],
    ['batch', { batch: 5 }],
    ['batch', { batch: [1, 2, 3] }],
    ['topkLength', { batch: 3, topkLength: [1, 1] }],
    ['topkLength', { batch: 3, topkLength: 5 }],
    ['topkLength[1]', { batch: 3, topkLength: [1, 131, 1] }],
    ['topkLength[0]', { batch: 3, topkLength: [-1, 1, 1] }],
    ['extraTopkLength', { batch: 3, topkLength: [1, 1, 1], extraTopkLength: [1, 1, 1] }],
    ['options', { batch: 3, topkLength: [1, 1, 1] }, null],
  ])('refuses %s before anything is written: %o', async (path, bad, options: unknown = {}) => {
    using made = await setup({ costModel }, { topkLength: true })
    const { plan } = made
    plan.update({ batch: 3, topkLength: [130, 1, 0] })
    expect(() => plan.update(bad as never, options as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect([plan.batch, open.memory.log]).toEqual([3, ['upload']])
  })

  it('that cannot be scheduled leaves the plan as it was', async () => {
    using made = await setup({ costModel }, { extra: { ...extra, topk: 2 ** 31 - 1 } })
    expect(() => made.plan.update({ batch: 1 })).toThrow(coded('POLYMLA_INVALID_ARGUMENT'))
    made.plan.update({ batch: 0 })
    expect(() => made.plan.update({ batch: 1 })).toThrow(coded('POLYMLA_INVALID_ARGUMENT'))
    expect([made.plan.batch, open.memory.log]).toEqual([0, []])
  })

  it.each([
    [true, true],
    [true, false],
    [false, true],
  ])('takes lengths from the device: %s, %s', async (main, second) => {
    using made = await setup(
      { costModel, schedules: true },
      { topkLength: true, extra: { ...extra, topkLength: true } },
    )
    const given = { topkLength: [0, 130, 7], extraTopkLength: [1, 0, 100] }
    using topkLength = onDevice(given.topkLength)
    using extraTopkLength = onDevice(given.extraTopkLength)
    made.plan.update({
      batch: 3,
      topkLength: main ? topkLength : given.topkLength,
      extraTopkLength: second ? extraTopkLength : given.extraTopkLength,
    })
    const { sink: _, ...extras } = made.extras
    made.plan.run({ ...made.run, ...extras })
    expect([...integers(launched().topkLength as never)].slice(0, 3)).toEqual(given.topkLength)
    expect([...integers(launched().extraTopkLength as never)].slice(0, 3)).toEqual(given.extraTopkLength)
    const load = {
      topk: 130,
      topkLength: Int32Array.from(given.topkLength),
      extraTopk: 100,
      extraTopkLength: Int32Array.from(given.extraTopkLength),
    }
    expect([...integers(launched().schedule as never)]).toEqual(scheduleOf(load))
    expect(made.plan.schedule).toBeNull()
  })

  it('takes lengths of the extra cache alone from the device', async () => {
    using made = await setup({ costModel, schedules: true }, { extra: { ...extra, topkLength: true } })
    using extraTopkLength = onDevice([1, 0, 100])
    const { sink: _, ...extras } = made.extras
    made.plan.update({ batch: 3, extraTopkLength }).run({ ...made.run, ...extras })
    const load = { topk: 130, extraTopk: 100, extraTopkLength: Int32Array.of(1, 0, 100) }
    expect([...integers(launched().schedule as never)]).toEqual(scheduleOf(load))
    expect(launched().topkLength).toBeNull()
  })

  it('takes lengths from the device only where it schedules there', async () => {
    using made = await setup({ costModel }, { topkLength: true })
    using topkLength = onDevice([1, 1, 1])
    using short = onDevice([1, 1])
    expect(() => made.plan.update({ batch: 3, topkLength })).toThrow(coded('POLYMLA_UNSUPPORTED'))
    expect(() => made.plan.update({ batch: 3, topkLength: short })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'topkLength.shape[0]'),
    )
    expect(open.memory.log).toEqual(['upload', 'upload'])
  })

  it('is captured only from lengths on the device', async () => {
    using made = await setup({ costModel, schedules: true, graphs: true }, { topkLength: true })
    const { plan, run } = made
    using topkLength = onDevice([1, 64, 65])
    using graph = open.device.capture(() => {
      plan.update({ batch: 3, topkLength })
      plan.run(run)
    })
    graph.replay()
    expect(open.memory.log).toEqual(['upload', 'copy', 'schedule', 'launch sparseDecode'])
    const lengths = Int32Array.of(1, 64, 65)
    expect([...integers(launched().schedule as never)]).toEqual(
      scheduleOf({ topk: 130, topkLength: lengths }),
    )
    expect(() => open.device.capture(() => plan.update({ batch: 1, topkLength: [1] }))).toThrow(
      coded('POLYMLA_CAPTURE_ILLEGAL'),
    )
  })
})

it('creation leaves nothing behind when there is no memory', async () => {
  open = await openMemory({ allocations: 0 })
  const problem = { maxBatch: 1, heads: 1, cache: layout, valueDim: 16, topk: 1, softmaxScale: 1 }
  expect(() => open.device.planSparseDecode(problem)).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
})
