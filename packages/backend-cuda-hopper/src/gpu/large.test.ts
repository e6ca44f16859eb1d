import { compare, normalArray, Random, TOLERANCES } from '@polymla/conformance'
import { type Device, kvLayout, type Tensor, toFloat32 } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpu, openGpu, openOracle, skipped } from './devices.fixtures.js'
import { fillRandom } from './workload.fixtures.js'

interface Large {
  readonly heads: number
  readonly pages: number
  readonly pageStride?: number
  readonly lengths: readonly number[]
  readonly table: readonly number[]
}

describe.skipIf(gpu === null)(`long requests and large caches${skipped}`, { timeout: 600_000 }, () => {
  let device: Device
  let oracle: Device
  beforeAll(async () => {
    device = await openGpu()
    oracle = await openOracle()
  })
  afterAll(async () => {
    await oracle?.dispose()
    await device?.dispose()
  })

  it.each([16, 128])('a million tokens, %i heads', (heads) => {
    const pages = 2 ** 14
    return agrees({ heads, pages, lengths: [2 ** 20 - 5], table: [...new Random(2).permutation(pages)] })
  })

  it.each([16, 128])('pages beyond 2^31 elements, %i heads', (heads) => {
    const pages = 80_000
    return agrees({ heads, pages, lengths: [192, 100], table: [79_999, 0, 60_001, 58_255, 79_000, 7] })
  })

  it.each([16, 128])('pages 2^30 elements apart, %i heads', (heads) =>
    agrees({ heads, pages: 5, pageStride: 2 ** 30, lengths: [128, 70], table: [4, 0, 2, 3] }),
  )

  /** Compares with the oracle, in whose hands the same memory is. */
  async function agrees({ heads, pages, pageStride, lengths, table }: Large): Promise<void> {
    const random = new Random(heads)
    const layout = kvLayout({ format: 'bf16', pages, pageStride })
    using storage = device.createKvStorage(layout)
    if (pageStride === undefined) fillRandom(storage.tensor, random)
    else for (let page = 0; page < pages; page++) fillRandom(storage.tensor.slice(0, page, page + 1), random)
    const batch = lengths.length
    const shape = [batch, 1, heads, 576]
    using q = device.upload(normalArray(random, 'bf16', batch * heads * 576, 0.5), { shape, dtype: 'bf16' })
    await device.synchronize()
    const run = async (on: Device, outDtype: 'bf16' | 'f32', queries: Tensor<'bf16'>, cache: Tensor) => {
      const blockTableWidth = table.length / batch
      const options = {
        maxBatch: batch,
        heads,
        cache: layout,
        blockTableWidth,
        softmaxScale: 576 ** -0.5,
        outDtype,
      }
      using plan = on.planDecode(options)
      using out = on.empty({ shape: [batch, 1, heads, 512], dtype: outDtype })
      using lse = on.empty({ shape: [batch, heads, 1], dtype: 'f32' })
      plan.update({ seqlens: Int32Array.from(lengths), blockTable: Int32Array.from(table) })
      plan.run({ q: queries, cache: on.adoptKvStorage(cache, layout), out, lse })
      const [foundOut, foundLse] = await Promise.all([out.download(), lse.download()])
      return { out: toFloat32(foundOut as never, outDtype), lse: foundLse }
    }
    const found = await run(device, 'bf16', q, storage.tensor)
    const theirs = (tensor: Tensor) =>
      oracle.wrap({
        pointer: tensor.pointer,
        shape: tensor.shape,
        strides: tensor.strides,
        dtype: 'bf16',
        owner: tensor,
      })
    const expected = await run(oracle, 'f32', theirs(q), theirs(storage.tensor))
    expect(compare('out', expected.out, found.out, TOLERANCES.dense.out).message).toBeNull()
    expect(compare('lse', expected.lse, found.lse, TOLERANCES.dense.lse).message).toBeNull()
  }
})
