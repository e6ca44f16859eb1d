import {
  type DecodeOptions,
  type DecodeRun,
  type Device,
  type KvStorage,
  kvLayout,
  type Tensor,
} from '@polymla/core'
import { type Bench, type Case, CaseSkipped, check } from '../cases/case.js'
import { upload, uploadStorage } from '../cases/device-io.js'
import { sparseInputs, sparseProblem } from '../cases/sparse-data.js'
import { SparseRig } from '../cases/sparse-decode.js'
import { sparseSpec } from '../cases/sparse-spec.js'
import { behaviourCase, expectError } from './workload.js'

type Misuse = Readonly<Record<string, () => unknown>>

async function expectRefused(misuse: Misuse): Promise<void> {
  for (const [what, call] of Object.entries(misuse)) await expectError(what, 'POLYMLA_INVALID_ARGUMENT', call)
}

export const errorCases: readonly Case[] = [
  behaviourCase('errors/plan', async ({ device }, work) => {
    const { op: _, ...valid } = work.inputs().problem
    const plan = (change: object) => () => device.planDecode({ ...valid, ...change } as DecodeOptions)
    await expectRefused({
      'a negative batch': plan({ maxBatch: -1 }),
      'half a head': plan({ heads: 1.5 }),
      'no heads': plan({ heads: 0 }),
      'a value wider than the key': plan({ valueDim: valid.cache.headDim + 16 }),
      'an odd width': plan({ valueDim: 500 }),
      'an unknown dtype': plan({ dtype: 'float16' }),
      'an unknown mask': plan({ mask: 'window' }),
      'a scale that is NaN': plan({ softmaxScale: Number.NaN }),
      'an infinite scale': plan({ softmaxScale: Number.POSITIVE_INFINITY }),
      'no scale': plan({ softmaxScale: undefined }),
      'a misspelt option': plan({ softmax_scale: 1 }),
      'an unknown cache format': plan({ cache: { ...valid.cache, format: 'fp4' } }),
      'pages that overlap': plan({ cache: { ...valid.cache, pageStride: 1 } }),
      'no options': () => device.planDecode(null as never),
    })
  }),
  behaviourCase('errors/update', async (bench, work) => {
    const rig = work.rig()
    const { lengths, blockTable, width, problem, batch } = rig.inputs
    const update = (change: object) => () => rig.plan.update({ seqlens: lengths, blockTable, ...change })
    const outside = (id: number) => blockTable.map((page, i) => (i === 0 ? id : page))
    await expectRefused({
      'a page id past the cache': update({ blockTable: outside(problem.cache.pages) }),
      'a negative page id': update({ blockTable: outside(-1) }),
      'a negative length': update({ seqlens: lengths.map(() => -1) }),
      'a length beyond the table': update({
        seqlens: lengths.map(() => (width + 1) * problem.cache.pageSize),
      }),
      'more requests than maxBatch': update({ seqlens: new Int32Array(batch + 1), blockTable: [] }),
      'a block table of another batch': update({ blockTable: blockTable.subarray(1) }),
      'lengths that are no integers': update({ seqlens: Array(batch).fill(1.5) }),
      'lengths of another type': update({ seqlens: new Float32Array(batch) }),
      'a tree mask where there is none': update({ treeMask: new Int32Array(batch) }),
      'lengths in an f32 tensor': update({ seqlens: upload(bench, 'f32', [batch], new Float32Array(batch)) }),
    })
  }),
  behaviourCase('errors/run', async (bench, work) => {
    const { device } = bench
    const rig = work.rig()
    rig.update()
    const { inputs, out, lse } = rig
    const { storage, batch, problem } = inputs
    const valid: DecodeRun = {
      q: rig.q,
      cache: rig.cache,
      out: out.tensor,
      lse: lse?.tensor ?? null,
    }
    const run = (change: object) => () => rig.plan.run({ ...valid, ...change })
    const tensor = (shape: readonly number[], dtype: 'bf16' | 'f32' | 'f16') =>
      bench.own(device.empty({ shape, dtype }))
    const qShape = [batch, problem.queryTokens, problem.heads, problem.cache.headDim]
    const { format, pages, pageSize } = problem.cache
    const otherLayout = kvLayout({ format, pages: pages * 2, pageSize: pageSize / 2 })
    const wide = tensor([...rig.outShape.slice(0, -1), problem.valueDim + 16], 'bf16')
    await expectRefused({
      'q of another shape': run({ q: tensor(qShape.with(3, 512), 'bf16') }),
      'q of another batch': run({ q: tensor(qShape.with(0, batch + 1), 'bf16') }),
      'q without a dimension': run({ q: tensor(qShape.slice(1), 'bf16') }),
      'q of another dtype': run({ q: tensor(qShape, 'f16') }),
      'q on the host': run({ q: inputs.q }),
      'out of another dtype': run({ out: tensor(rig.outShape, 'f32') }),
      'out that is not contiguous': run({ out: wide.slice(3, 0, problem.valueDim) }),
      'lse of another shape': run({ lse: tensor([batch], 'f32') }),
      'a cache of another layout': run({ cache: uploadStorage(bench, otherLayout, storage).cache }),
      'no cache': run({ cache: undefined }),
      'a scale that is NaN': run({ descaleK: Number.NaN }),
    })
    const written = new Uint8Array((await out.download()).buffer).some((byte) => byte !== 0xff)
    check(!written, 'a call that was refused wrote to out')
  }),
  behaviourCase('errors/other-device', async (bench, work) => {
    if (!bench.open) throw new CaseSkipped('an open device was handed in, and no way to open another')
    const rig = work.rig()
    rig.update()
    const other = await bench.open()
    const { inputs } = rig
    const foreign = { ...bench, device: other }
    const shape = [
      inputs.batch,
      inputs.problem.queryTokens,
      inputs.problem.heads,
      inputs.problem.cache.headDim,
    ]
    const q = upload(foreign, 'bf16', shape, inputs.q as Uint16Array)
    const { cache } = uploadStorage(foreign, inputs.problem.cache, inputs.storage)
    const valid = { q: rig.q, cache: rig.cache, out: rig.out.tensor }
    await expectRefused({
      "another device's tensor": () => rig.plan.run({ ...valid, q }),
      "another device's cache": () => rig.plan.run({ ...valid, cache }),
      "another device's stream": () => rig.plan.run({ ...valid, stream: bench.own(other.stream()) }),
      "another device's event": () =>
        bench.device.defaultStream.wait(bench.own(other.defaultStream.record())),
    })
  }),
  sparseErrors(),
  {
    name: 'behaviour/errors/tensors',
    problem: () => null,
    async run(bench) {
      const { device } = bench
      const tensor = bench.own(device.zeros({ shape: [4, 8], dtype: 'f32' }))
      const numbers = new Float32Array(32)
      await expectRefused({
        'a negative extent': () => device.empty({ shape: [-1], dtype: 'f32' }),
        'an unknown dtype': () => device.empty({ shape: [1], dtype: 'f64' as never }),
        'too few elements': () => device.upload(numbers, { shape: [33], dtype: 'f32' }),
        'numbers for bits': () => device.upload(numbers as never, { shape: [32], dtype: 'bf16' }),
        'a slice past the end': () => tensor.slice(0, 0, 5),
        'a view past the end': () => tensor.view([33]),
        'a view with a negative stride': () => tensor.view([4, 8], { strides: [-8, 1] }),
        'a write to a strided view': () => tensor.slice(1, 0, 4).write(new Float32Array(16)),
        'a fill with no byte': () => tensor.fillBytes(256),
      })
      check(
        (await tensor.download()).every((value) => value === 0),
        'a call that was refused wrote to the tensor',
      )
      return []
    },
  },
  behaviourCase('errors/other-ops', async ({ device, own }) => {
    const cache = own(device.createKvStorage({ format: 'bf16', pages: 4 }))
    const tensor = <D extends 'bf16' | 'f32' | 'i32'>(dtype: D, ...shape: number[]) =>
      own(device.zeros({ shape, dtype }))
    await expectRefused({
      ...appendMisuse(device, cache, tensor),
      ...pageMisuse(device, cache),
      ...prefillMisuse(device, tensor),
      'partial states of different batches': () =>
        device.mergeStates({
          outs: tensor('f32', 2, 3, 1, 4, 512),
          lses: tensor('f32', 2, 2, 4, 1),
          out: tensor('f32', 3, 1, 4, 512),
        }),
    })
  }),
]

/** Misuse of sparse decode, with lengths, an extra cache and a sink. */
function sparseErrors(): Case {
  const spec = sparseSpec({
    format: 'bf16',
    heads: 16,
    topkLength: true,
    extra: { topkLength: true },
    sink: 'mixed',
  })
  return {
    name: 'behaviour/errors/sparse-decode',
    problem: () => sparseProblem(spec),
    async run(bench) {
      const { device } = bench
      const { op: _, ...options } = sparseProblem(spec)
      const inputs = sparseInputs(spec, bench.random)
      const rig = new SparseRig(bench, inputs, spec)
      const { batch } = spec
      const lengths = { topkLength: inputs.main.topkLength, extraTopkLength: inputs.extra?.topkLength }
      const plan = (change: object) => () => device.planSparseDecode({ ...options, ...change })
      const update = (change: object) => () => rig.plan.update({ batch, ...lengths, ...change } as never)
      await expectRefused({
        'a negative topk': plan({ topk: -1 }),
        'two KV heads': plan({ cache: { ...options.cache, headsKv: 2, pageStride: 1e6 } }),
        'a scale that is NaN': plan({ softmaxScale: Number.NaN }),
        'more requests than maxBatch': update({ batch: batch + 1 }),
        'a topk length beyond topk': update({ topkLength: new Int32Array(batch).fill(spec.topk + 1) }),
        'a negative topk length': update({ topkLength: new Int32Array(batch).fill(-1) }),
        'no topk lengths where the problem has them': update({ topkLength: undefined }),
        'topk lengths of another batch': update({ extraTopkLength: new Int32Array(batch + 1) }),
      })
      rig.update()
      const indices = bench.own(device.zeros({ shape: [batch, 1, spec.topk], dtype: 'f32' }))
      const run = (change: object) => () => rig.run(undefined, change)
      await expectRefused({
        'no sink where the problem has one': run({ sink: null }),
        'no extra cache where the problem has one': run({ extraCache: null }),
        'indices that are no integers': run({ indices }),
        'indices of another topk': run({
          indices: bench.own(device.zeros({ shape: [batch, 1, 1], dtype: 'i32' })),
        }),
      })
      const written = new Uint8Array((await rig.out.download()).buffer).some((byte) => byte !== 0xff)
      check(!written, 'a call that was refused wrote to out')
      return []
    },
  }
}

type MakeTensor = <D extends 'bf16' | 'f32' | 'i32'>(dtype: D, ...shape: number[]) => Tensor<D>

function appendMisuse(device: Bench['device'], cache: KvStorage, tensor: MakeTensor): Misuse {
  const latent = tensor('bf16', 2, 1, 512)
  const ropeKey = tensor('bf16', 2, 1, 64)
  const append = (change: object) => () =>
    device.appendKv({ latent, ropeKey, slots: [0, 1], cache, ...change })
  const table = tensor('f32', 4, 64)
  return {
    'a slot past the cache': append({ slots: [0, 4 * 64] }),
    'a slot below −1': append({ slots: [0, -2] }),
    'too few slots': append({ slots: [0] }),
    'a latent of another width': append({ latent: tensor('bf16', 2, 1, 448) }),
    'rope keys of another dtype': append({ ropeKey: tensor('f32', 2, 1, 64) }),
    'a position past the table': append({ rotary: { style: 'neox', table, positions: [0, 4] } }),
  }
}

function pageMisuse(device: Device, cache: KvStorage): Misuse {
  const copy = (pages: number[]) => () => device.copyPages({ cache, pages })
  return {
    'half a pair of pages': copy([0]),
    'a page past the cache': copy([0, 4]),
    'a page written twice': copy([0, 1, 2, 1]),
    'a page written and read': copy([0, 1, 1, 2]),
  }
}

function prefillMisuse(device: Device, tensor: MakeTensor): Misuse {
  const valid = {
    q: tensor('bf16', 2, 16, 576),
    kv: tensor('bf16', 8, 1, 576),
    indices: tensor('i32', 2, 1, 64),
    out: tensor('bf16', 2, 16, 512),
    softmaxScale: 0.04,
  }
  const prefill = (change: object) => () => device.sparsePrefill({ ...valid, ...change } as typeof valid)
  return {
    'a prefill without a scale': prefill({ softmaxScale: undefined }),
    'a prefill with an infinite scale': prefill({ softmaxScale: Number.POSITIVE_INFINITY }),
    'keys of another width': prefill({ kv: tensor('bf16', 8, 1, 512) }),
    'indices of another batch': prefill({ indices: tensor('i32', 3, 1, 64) }),
    'a sink per token': prefill({ sink: tensor('f32', 2) }),
    'topk lengths per head': prefill({ topkLength: tensor('i32', 16) }),
  }
}
