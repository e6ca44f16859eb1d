import { createRuntime, isPolymlaError } from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { failure, notRunnable, pluginBackend, suite } from '../plugins.fixtures.js'

/** Long enough for a busy machine to load a library that works, short enough to wait for in a test. */
const PATIENCE = 20_000
const IMPATIENCE = 3000
/** A thread that calls exit() while others run may crash the process on its way out. */
const EXITED = /ended its process (with exit code 3|by SIG[A-Z]+)/

const patience = (plugin: string) => (plugin.startsWith('endless') ? IMPATIENCE : PATIENCE)

const isolated = (plugin: string, isolate = PATIENCE, options = {}) =>
  pluginBackend(plugin, options, { isolate })

describe.skipIf(notRunnable)(suite('a library that is probed in a process of its own'), () => {
  it.each(['noop', 'memory', 'no-devices', 'entry-fails', 'short-table', 'half-capture'])(
    'is listed as it is otherwise: %s',
    async (plugin) => {
      const listed = (backend: ReturnType<typeof pluginBackend>) =>
        createRuntime({ backends: [backend], env: {} }).listDevices()
      expect(await listed(isolated(plugin))).toEqual(await listed(pluginBackend(plugin)))
    },
  )

  it('shows devices that open and those that do not', async () => {
    const devices = await isolated('faulty', PATIENCE, { fault: 'open-fails' }).probe()
    expect(devices).toMatchObject([
      { id: 'faulty:0', available: false, reason: { message: expect.stringContaining('held by another') } },
      { id: 'faulty:1', available: false, reason: { code: 'POLYMLA_DRIVER_TOO_OLD' } },
      { id: 'faulty:2', available: false },
    ])
  })

  it('opens in this process, then', async () => {
    const backend = isolated('noop')
    const [info] = await backend.probe()
    const device = await backend.open(info)
    await device.dispose()
  })

  it('opens only what was listed', async () => {
    const opening = isolated('noop').open({ id: 'noop:7' } as never)
    await expect(opening).rejects.toEqual(failure('POLYMLA_INVALID_ARGUMENT', 'noop:7'))
  })

  it('is asked once for a listing and the selection that follows', async () => {
    const backend = isolated('endless-in-count', 500)
    const [first, second] = await Promise.allSettled([backend.probe(), backend.probe()])
    expect(first).toEqual(second)
    expect((second as PromiseRejectedResult).reason).toBe((first as PromiseRejectedResult).reason)
  })

  const moments = ['constructor', 'entry', 'count'] as const
  it.each([
    ...moments.map((moment) => [`segfault-in-${moment}`, 'ended its process by SIGSEGV'] as const),
    ...moments.map((moment) => [`exit-in-${moment}`, EXITED] as const),
    ...moments.map((moment) => [`endless-in-${moment}`, 'did not come back within 3 s'] as const),
  ])('leaves this process alone and says so: %s', async (plugin, what) => {
    const error = await isolated(plugin, patience(plugin))
      .probe()
      .catch((caught: unknown) => caught)
    expect(error).toEqual(failure('POLYMLA_BACKEND_LOAD_FAILED', what))
    expect((error as Error).message).toMatch(new RegExp(`/${plugin}.so: .* when it was loaded`))
    expect(isPolymlaError(error) && error.fix).toContain('polymla conformance --library')
  })

  it('passes on what it said last', async () => {
    const probing = isolated('segfault-in-count').probe()
    await expect(probing).rejects.toEqual(
      failure('POLYMLA_BACKEND_LOAD_FAILED', 'it said: the runtime found no firmware'),
    )
  })

  it.each([
    ['segfault-in-open', 'ended its process by SIGSEGV'],
    ['exit-in-open', EXITED],
    ['endless-in-open', 'did not come back within 3 s'],
  ])('blames the device whose opening does it, and no other: %s', async (plugin, what) => {
    const runtime = createRuntime({ backends: [isolated(plugin, patience(plugin))], env: {} })
    const listed = await runtime.listDevices()
    expect(listed).toMatchObject([
      { id: `${plugin}:0`, available: true },
      {
        id: `${plugin}:1`,
        available: false,
        reason: { code: 'POLYMLA_DEVICE_UNAVAILABLE', message: expect.stringMatching(what) },
      },
    ])
    expect(JSON.stringify(listed[1])).toContain(`/${plugin}.so: `)
    await using device = await runtime.selectDevice('auto')
    expect(device.id).toBe(`${plugin}:0`)
    await expect(runtime.selectDevice(`${plugin}:1`)).rejects.toEqual(
      failure('POLYMLA_DEVICE_UNAVAILABLE', what),
    )
  })
})
