import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { openMemory } from '../testing/open-memory.js'
import { Ledger } from './ledger.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Collects garbage until `condition` holds or it has had every chance to. */
async function collected(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 20 && !condition(); i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return condition()
}

describe('leaks', () => {
  it('of undisposed memory are reported once it is garbage, and stay counted', async () => {
    const { device, warnings } = await openMemory()
    for (const shape of [[3], [4]]) device.empty({ shape, dtype: 'f32' })
    expect(await collected(() => warnings.length === 2)).toBe(true)
    expect([...warnings].sort()).toEqual([
      expect.stringMatching(/^memory: an f32 tensor \[3\] was garbage-collected without dispose\(\)/),
      expect.stringMatching(/^memory: an f32 tensor \[4\]/),
    ])
    expect(device.memory()).toMatchObject({ liveBytes: 28, handles: { tensor: 2 } })
  })

  it('are none where memory was disposed, or its device', async () => {
    const open = await openMemory()
    const sentinel: string[] = []
    const ledger = new Ledger((what) => sentinel.push(what))
    ledger.watch({}, 'sentinel')
    open.device.empty({ shape: [1], dtype: 'u8' }).dispose()
    open.device.empty({ shape: [1], dtype: 'u8' })
    await open.device.dispose()
    expect(await collected(() => sentinel.length > 0)).toBe(true)
    await collected(() => open.warnings.length > 0)
    expect([open.device.disposed, open.warnings]).toEqual([true, []])
  })

  it('are none while a view lives', async () => {
    const { device, warnings } = await openMemory()
    const view = device.empty({ shape: [3], dtype: 'u8' }).slice(0, 0, 1)
    device.empty({ shape: [5], dtype: 'u8' })
    expect(await collected(() => warnings.length > 0)).toBe(true)
    expect([view.size, warnings]).toEqual([1, [expect.stringContaining('tensor [5]')]])
  })
})
