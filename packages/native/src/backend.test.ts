import { createRuntime } from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { nativeBackend } from './backend.js'
import { failure, notRunnable, openPlugin, pluginBackend, pluginPath, suite } from './plugins.fixtures.js'

describe('nativeBackend', () => {
  it.each([
    ['library', { library: 5 }],
    ['options.threads', { options: { threads: 2 } }],
  ])('refuses a bad %s', (path, change) => {
    const options = { name: 'x', library: '/lib.so', ...change } as never
    expect(() => nativeBackend(options)).toThrow(failure('POLYMLA_INVALID_ARGUMENT', '', { path }))
  })

  it('lists a library that its package has not built as unusable, with what to install', async () => {
    const backend = nativeBackend({ name: 'absent', library: '/nowhere/libabsent.so', origin: 'package' })
    const [device] = await createRuntime({ backends: [backend], env: {} }).listDevices()
    expect(device).toMatchObject({
      id: 'absent',
      available: false,
      reason: {
        code: 'POLYMLA_BACKEND_LOAD_FAILED',
        message: expect.stringContaining('not built for'),
        fix: expect.stringContaining('g++ 12'),
      },
    })
  })
})

describe.skipIf(notRunnable)(suite('probe'), () => {
  it('describes a single device by the name of its backend', async () => {
    expect(await pluginBackend('noop').probe()).toEqual([
      {
        id: 'noop',
        name: 'Everything happens at once',
        arch: 'test',
        score: 1,
        memoryBytes: 2 ** 40,
        available: true,
      },
    ])
  })

  it('numbers several devices and says why one cannot be used', async () => {
    const [first, second] = await pluginBackend('faulty').probe()
    expect(first).toMatchObject({ id: 'faulty:0', available: true })
    expect(second).toMatchObject({
      id: 'faulty:1',
      available: false,
      reason: {
        code: 'POLYMLA_DRIVER_TOO_OLD',
        message: 'driver 450.80 is older than 525.60',
        fix: 'Update the driver',
      },
    })
  })

  it('reads texts without an end up to their size', async () => {
    const { 2: third } = await pluginBackend('faulty').probe()
    expect(third.name).toBe('\ufffd'.repeat(64))
    expect(third.arch).toBe('\ufffd'.repeat(32))
    expect(third.available ? null : third.reason.message).toBe('\ufffd'.repeat(208))
  })

  it('passes on why there is no device', async () => {
    await expect(pluginBackend('no-devices').probe()).rejects.toEqual(failure('POLYMLA_DEVICE_NOT_FOUND'))
  })

  it('takes a library of a later minor version', async () => {
    expect(await pluginBackend('newer').probe()).toMatchObject([{ available: true }])
  })

  it.each([
    ['entry-fails', 'POLYMLA_DRIVER_TOO_OLD', 'driver 450.80'],
    ['null-table', 'POLYMLA_BACKEND_LOAD_FAILED', 'no table'],
    ['table-major', 'POLYMLA_API_VERSION', 'found 2'],
    ['short-table', 'POLYMLA_API_VERSION', 'member alloc'],
    ['missing-member', 'POLYMLA_API_VERSION', 'member event_record'],
    ['null-name', 'POLYMLA_API_VERSION', 'member name'],
    ['half-capture', 'POLYMLA_API_VERSION', 'capture_begin'],
    ['note-major', 'POLYMLA_API_VERSION', ''],
    ['text', 'POLYMLA_BACKEND_LOAD_FAILED', ''],
  ])('refuses the library %s again and again', async (library, code, message) => {
    const backend = pluginBackend(library)
    for (let i = 0; i < 2; i++) await expect(backend.probe()).rejects.toEqual(failure(code, message))
  })

  it('loads a library once however many ask at once', async () => {
    const lists = await Promise.all(Array.from({ length: 8 }, () => pluginBackend('memory').probe()))
    for (const list of lists) expect(list).toMatchObject([{ id: 'memory', available: true }])
  })
})

describe.skipIf(notRunnable)(suite('open'), () => {
  it('fails with what the library says, and the device', async () => {
    const opening = openPlugin('faulty', { fault: 'open-fails' })
    await expect(opening).rejects.toEqual(
      failure('POLYMLA_DEVICE_UNAVAILABLE', 'held by another process. End ', { device: 'faulty:0' }),
    )
  })

  it('passes settings to the library, which refuses what it does not know', async () => {
    const opening = openPlugin('noop', { colour: 'blue' })
    await expect(opening).rejects.toEqual(failure('POLYMLA_INVALID_ARGUMENT', 'colour'))
  })

  it('leaves the event loop free', async () => {
    let turns = 0
    const opening = openPlugin('faulty', { fault: 'slow-open', delay_ms: '200' })
    const timer = setInterval(() => turns++, 1)
    const device = await opening
    clearInterval(timer)
    expect(turns).toBeGreaterThan(1)
    await device.dispose()
  })

  it('opens a device any number of times', async () => {
    const devices = await Promise.all([1, 2, 3].map(() => openPlugin('memory')))
    await Promise.all(devices.map((device) => device.dispose()))
  })

  it("forwards the library's log to a logger", async () => {
    const log: unknown[] = []
    const logger = (...message: unknown[]) => log.push(message)
    const backend = pluginBackend('faulty', { log: 'warming up' }, { logger })
    const [info] = await backend.probe()
    const device = await backend.open(info)
    await device.dispose()
    expect(log).toEqual([['warn', 'warming up']])
  })

  it('takes the same library under two names', async () => {
    const other = nativeBackend({ name: 'other', library: pluginPath('noop'), origin: 'package' })
    expect(await other.probe()).toMatchObject([{ id: 'other', available: true }])
  })
})
