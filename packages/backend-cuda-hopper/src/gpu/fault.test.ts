import { describe, expect, it } from 'vitest'
import { gpu, openGpu, skipped } from './devices.fixtures.js'
import { workload } from './workload.fixtures.js'

// A fault ends the process's use of the GPU: this file has no other test.
describe.skipIf(gpu === null)(`a fault of a kernel${skipped}`, () => {
  it('sticks to the device, names the kernel and the problem, and lets the process go on', async () => {
    const device = await openGpu()
    const work = workload(device, { batch: 2, width: 2, heads: 16 })
    work.update([128, 100])
    work.run()
    await device.synchronize()
    // Below the least address that a process may map: with shared page tables others may be valid.
    const nowhere = device.wrap({ pointer: 4096n, shape: [2, 1, 16, 576], dtype: 'bf16' })
    const cache = device.adoptKvStorage(work.cache, work.layout)
    work.plan.run({ q: nowhere, cache, out: work.out, lse: work.lse })
    const failure = await device.synchronize().then(
      () => null,
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ code: 'POLYMLA_DEVICE_LOST' })
    const { message } = failure as Error
    expect(message).toContain('decode')
    expect(message).toContain('heads 16')
    // From now on every call fails so, and none crashes.
    await expect(device.synchronize()).rejects.toThrow('decode')
    await expect(work.out.download()).rejects.toThrow('decode')
    expect(() => device.empty({ shape: [1], dtype: 'u8' })).toThrow('decode')
    work[Symbol.dispose]()
    await device.dispose()
  })
})
