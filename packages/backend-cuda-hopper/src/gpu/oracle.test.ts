import reference from '@polymla/backend-reference'
import { compare, type DenseSpec, denseInputs, denseShape, denseSpec, Random } from '@polymla/conformance'
import { createRuntime, type Device, storageDType, storageShape, storageStrides } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpu, openOracle, skipped } from './devices.fixtures.js'

const CASES: readonly Partial<DenseSpec>[] = [
  { keys: 300, lengths: 'varlen', heads: 3 },
  { format: 'fp16', keys: 300, lengths: 'varlen', queryTokens: 3, mask: 'causal', heads: 6, headsKv: 2 },
  { format: 'f32', batch: 8, lengths: 'edges', pageSize: 16, pageGap: 64 },
  { batch: 3, queryTokens: 5, mask: 'tree', lengths: 'varlen', heads: 4 },
  { batch: 3, keys: 200, lengths: 'varlen', tables: 'hostile', heads: 5 },
  { headDim: 320, valueDim: 256, lengths: 'varlen', pageSize: 61 },
]

describe.skipIf(gpu === null)(`the oracle${skipped}`, () => {
  let oracle: Device
  let exact: Device
  beforeAll(async () => {
    oracle = await openOracle()
    exact = await createRuntime({ backends: [reference()], env: {} }).selectDevice('reference')
  })
  afterAll(async () => {
    await oracle?.dispose()
    await exact?.dispose()
  })

  it.each(CASES)('agrees with the reference to single precision: %o', async (given) => {
    const spec = denseSpec({ ...given, outDtype: 'f32' })
    const inputs = denseInputs(spec, denseShape(spec, 0, 'oracle'), new Random(0, 'oracle'))
    const { op: _, ...options } = inputs.problem
    const { cache: layout, queryTokens, heads, dtype, valueDim } = inputs.problem
    const decode = async (device: Device) => {
      using plan = device.planDecode(options)
      using q = device.upload(inputs.q, { shape: [inputs.batch, queryTokens, heads, layout.headDim], dtype })
      using storage = device.upload(inputs.storage, {
        shape: [inputs.storage.length],
        dtype: storageDType(layout),
      })
      const pages = storage.view(storageShape(layout), { strides: storageStrides(layout) })
      using out = device.empty({ shape: [inputs.batch, queryTokens, heads, valueDim], dtype: 'f32' })
      using lse = device.empty({ shape: [inputs.batch, heads, queryTokens], dtype: 'f32' })
      using table = device.upload(inputs.blockTable, { shape: [inputs.batch, inputs.width], dtype: 'i32' })
      const treeMask = inputs.treeMask ? { treeMask: inputs.treeMask } : {}
      plan.update({ seqlens: inputs.lengths, blockTable: table, ...treeMask })
      plan.run({ q, cache: device.adoptKvStorage(pages, layout), out, lse })
      return Promise.all([out.download(), lse.download()])
    }
    const [out, lse] = await decode(oracle)
    const [expectedOut, expectedLse] = await decode(exact)
    const rounding = { absolute: 1e-7, relative: 2 ** -20 }
    expect(compare('out', expectedOut, out, rounding).message).toBeNull()
    expect(compare('lse', expectedLse, lse, rounding).message).toBeNull()
  })
})
