import { afterEach, describe, expect, it } from 'vitest'
import type { FillArgs } from './kernels/bytes.js'
import { fillBytes } from './kernels/bytes.js'
import { type JobRequest, WorkerPool } from './worker-pool.js'

const pools: WorkerPool[] = []

function poolOf(size: number, script?: string): WorkerPool {
  const pool = script
    ? new WorkerPool(size, new URL(`data:text/javascript,${encodeURIComponent(script)}`))
    : new WorkerPool(size)
  pools.push(pool)
  return pool
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()))
})

/** Fills `mib` MiB, in units of 4. */
function fill(mib: number, value: number): { request: JobRequest; bytes: Uint8Array } {
  const memory = new SharedArrayBuffer(mib * 2 ** 20)
  const args: FillArgs = { target: { memory, byteOffset: 0, bytes: memory.byteLength }, value }
  const units = fillBytes[0].units(null, args)
  return {
    request: { kernel: 'fillBytes', phase: 0, problem: null, args, units },
    bytes: new Uint8Array(memory),
  }
}

describe('worker pool', () => {
  it('does every unit of many jobs at once', async () => {
    const pool = poolOf(3)
    const jobs = Array.from({ length: 8 }, (_, i) => fill(i + 1, i + 1))
    await Promise.all(jobs.map(({ request }) => pool.run(request)))
    for (const [i, { bytes }] of jobs.entries()) expect(bytes.every((byte) => byte === i + 1)).toBe(true)
  })

  it('is done at once with a job without units', async () => {
    await poolOf(1, 'process.exit(1)').run({ ...fill(0, 1).request, units: 0 })
  })

  it('fails a job whose kernel throws, and goes on', async () => {
    const pool = poolOf(2)
    const { request, bytes } = fill(8, 5)
    const broken = {
      target: { memory: new SharedArrayBuffer(8), byteOffset: 0, bytes: 8 * 2 ** 20 },
      value: 1,
    }
    await expect(pool.run({ ...request, args: broken })).rejects.toMatchObject({
      name: 'PolymlaError',
      code: 'POLYMLA_INTERNAL',
    })
    await pool.run(request)
    expect(bytes[0]).toBe(5)
  })

  it('reports a thread that dies instead of waiting for it, and replaces it', async () => {
    const dies = `
      import { parentPort } from 'node:worker_threads'
      parentPort.on('message', ({ id, args }) => (args.value === 13 ? process.exit(1) : parentPort.postMessage({ id })))`
    const pool = poolOf(2, dies)
    await expect(pool.run(fill(8, 13).request)).rejects.toMatchObject({ code: 'POLYMLA_DEVICE_LOST' })
    await pool.run(fill(8, 1).request)
  })

  it('names the reason when a thread cannot start', async () => {
    await expect(poolOf(1, `import 'no-such-module'`).run(fill(1, 1).request)).rejects.toMatchObject({
      code: 'POLYMLA_DEVICE_LOST',
      message: expect.stringContaining('no-such-module'),
    })
  })
})
