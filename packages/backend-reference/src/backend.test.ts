import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  type Backend,
  copyPagesProblem,
  createRuntime,
  type Device,
  kvLayout,
  sparseDecodeProblem,
} from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { Arena } from './arena.js'
import { reference } from './backend.js'
import { ReferenceDevice } from './device.js'
import { randomNumbers } from './kernels/kernel.fixtures.js'
import { WorkerPool } from './worker-pool.js'

/** The backend on a pool of its own. */
function withThreads(threads: number): Backend {
  return {
    ...reference(),
    open: async () => {
      const pool = new WorkerPool(threads)
      return new ReferenceDevice(pool, new Arena(), () => pool.close())
    },
  }
}

async function open(backend: Backend): Promise<Device> {
  return createRuntime({ backends: [backend] }).selectDevice('reference')
}

/** Attention of 8 heads over `length` keys, split. */
async function decode(device: Device, length: number): Promise<{ bits: Uint32Array; ticks: number }> {
  const pages = Math.ceil(length / 64)
  const cache = device.createKvStorage({ format: 'f32', pages })
  const values = randomNumbers(1, 64 * 576)
  for (let page = 0; page < pages; page++)
    cache.tensor.slice(0, page, page + 1).write(Float32Array.from(values))
  const q = device.upload(Float32Array.from(randomNumbers(2, 8 * 576)), {
    shape: [1, 1, 8, 576],
    dtype: 'f32',
  })
  const out = device.empty({ shape: [1, 1, 8, 512], dtype: 'f32' })
  using plan = device.planDecode({
    maxBatch: 1,
    heads: 8,
    cache: cache.layout,
    blockTableWidth: pages,
    softmaxScale: 0.05,
  })
  plan.update({ seqlens: [length], blockTable: Array.from({ length: pages }, (_, page) => page) })
  plan.run({ q, cache, out })
  const event = device.defaultStream.record()
  let ticks = 0
  let counting = true
  setImmediate(function tick() {
    ticks++
    if (counting) setImmediate(tick)
  })
  await event.done()
  counting = false
  const found = (await out.download()) as Float32Array
  for (const handle of [cache, q, out, event]) handle.dispose()
  return { bits: new Uint32Array(found.buffer, found.byteOffset, found.length), ticks }
}

describe('the reference backend', () => {
  it('lists one device that is always there and comes last', async () => {
    const [info] = await reference().probe()
    expect(info).toMatchObject({ id: 'reference', available: true, score: 0, arch: 'typescript' })
  })

  it('gives the same bits with any number of threads, every time', async () => {
    const results: Uint32Array[] = []
    for (const threads of [1, 2, 5]) {
      await using device = await open(withThreads(threads))
      results.push((await decode(device, 1000)).bits, (await decode(device, 1000)).bits)
    }
    for (const bits of results) expect(bits).toEqual(results[0])
  })

  it('leaves the event loop free while it computes', async () => {
    await using device = await open(reference())
    expect((await decode(device, 8192)).ticks).toBeGreaterThan(10)
  })

  it('opens several devices on one pool, each usable until it is disposed', async () => {
    const first = await open(reference())
    const second = await open(reference())
    await first.dispose()
    await decode(second, 100)
    await second.dispose()
    await using third = await open(reference())
    await decode(third, 100)
  })

  it('finishes enqueued work before it is disposed', async () => {
    const device = await open(reference())
    const tensor = device.zeros({ shape: [30 * 2 ** 20], dtype: 'u8' })
    const event = device.defaultStream.record()
    const done = event.done()
    tensor.dispose()
    await device.dispose()
    await done
  })

  it('gives reasons for problems that it cannot do', async () => {
    await using device = await open(reference())
    const cache = kvLayout({ format: 'bf16', pages: 1 })
    const sparse = { maxBatch: 1, heads: 1, cache, topk: 1, softmaxScale: 1 }
    const huge = { maxBatch: 2 ** 31 - 1, topk: 2 ** 31 - 1, splitPages: 1 }
    expect(device.supports(copyPagesProblem({ maxPairs: 1, cache }))).toBe(true)
    expect(device.supports(sparseDecodeProblem(sparse))).toBe(true)
    expect(device.supports(sparseDecodeProblem({ ...sparse, ...huge }))).toMatch('workspace')
    const extra = { cache, topk: 2 ** 31 - 1 }
    expect(device.supports(sparseDecodeProblem({ ...sparse, extra }))).toMatch('extra.topk')
  })

  it('lets a process end that disposes nothing', async () => {
    expect(
      await runAlone(`
        device.zeros({ shape: [2 ** 24], dtype: 'u8' })
        await device.synchronize()
        console.log('done')`),
    ).toBe('done\n')
  })

  it('leaves no open handle behind', async () => {
    expect(
      await runAlone(`
        device.zeros({ shape: [2 ** 24], dtype: 'u8' }).dispose()
        await device.dispose()
        await new Promise((resolve) => setImmediate(resolve))
        const inputs = ['PipeWrap', 'TTYWrap'] // what the standard streams may be
        console.log(process.getActiveResourcesInfo().filter((name) => !inputs.includes(name)).length)`),
    ).toBe('0\n')
  })
})

/** Runs a program with an open device in a process of its own, on the builds; returns what it prints. */
async function runAlone(program: string): Promise<string> {
  const script = `
    import { createDevice } from '@polymla/core'
    import '@polymla/backend-reference/register'
    const device = await createDevice('reference')
    ${program}`
  const root = fileURLToPath(new URL('..', import.meta.url))
  const args = ['--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 30_000 })
  return stdout
}
