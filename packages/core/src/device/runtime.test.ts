import { describe, expect, it } from 'vitest'
import { API_VERSION, type Backend, type DeviceInfo, defineBackend } from '../backend/index.js'
import { PolymlaError } from '../errors.js'
import { MemoryBackend, type MemoryOptions } from '../testing/memory-backend.js'
import { coded } from '../testing/open-memory.js'
import { createDevice, createRuntime, type RuntimeOptions } from './runtime.js'

function runtimeOf(backends: Backend[], options: RuntimeOptions = {}) {
  return createRuntime({ backends, env: {}, ...options })
}

function listing(name: string, infos: unknown): Backend {
  const probe = async () => infos as DeviceInfo[]
  return defineBackend({ name, apiVersion: API_VERSION, probe, open: probe as never })
}

const usable = { id: 'x', name: 'X', arch: 'x', score: 1, available: true }

describe('registerBackend', () => {
  it('adds a backend to those there are', async () => {
    const runtime = runtimeOf([new MemoryBackend({ name: 'a' })])
    runtime.registerBackend(new MemoryBackend({ name: 'b' }))
    expect((await runtime.listDevices()).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it.each([
    ['backend.name', null],
    ['backend.name', {}],
    ['backend.name', { name: 'Upper' }],
    ['backend.name', { name: 'a:0' }],
    ['backend good', { name: 'good', probe: () => {} }],
    ['backend good', { name: 'good', open: () => {} }],
    ['backend.name', new MemoryBackend({ name: 'taken' })],
  ])('refuses %s of %o', (path, backend) => {
    const runtime = runtimeOf([new MemoryBackend({ name: 'taken' })])
    expect(() => runtime.registerBackend(backend as Backend)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })

  it('takes options or nothing', () => {
    expect(() => createRuntime(null as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'options'))
  })
})

describe('listDevices', () => {
  it('lists the best first, and of equals the lowest index', async () => {
    const runtime = runtimeOf([
      new MemoryBackend({ name: 'slow', score: 0 }),
      new MemoryBackend({ name: 'gpu', score: 100, ids: ['gpu:10', 'gpu:2', 'gpu:0'] }),
    ])
    expect((await runtime.listDevices()).map(({ id }) => id)).toEqual(['gpu:0', 'gpu:2', 'gpu:10', 'slow'])
  })

  it('refuses another contract version naming both, before any other call', async () => {
    const backend = new MemoryBackend({ name: 'old' })
    backend.apiVersion = 41
    backend.probe = () => {
      throw new Error('must not be called')
    }
    const [info] = await runtimeOf([backend]).listDevices()
    expect(info).toMatchObject({ id: 'old', available: false, reason: { code: 'POLYMLA_API_VERSION' } })
    const { message } = (info as DeviceInfo & { available: false }).reason
    expect(message).toContain('41')
    expect(message).toContain(`${API_VERSION}`)
  })

  it.each([
    ['throws', () => Promise.reject(new Error('no driver')), 'no driver'],
    ['throws what is no error', () => Promise.reject('nothing'), 'nothing'],
    ['throws at once', () => raise(new Error('at once')), 'at once'],
  ])('shows a probe that %s as an unusable device', async (_what, probe, message) => {
    const backend = { name: 'x', apiVersion: API_VERSION, probe, open: probe as never }
    expect(await runtimeOf([backend]).listDevices()).toEqual([
      expect.objectContaining({
        id: 'x',
        available: false,
        reason: { code: 'POLYMLA_BACKEND_LOAD_FAILED', message, fix: expect.stringContaining('backend') },
      }),
    ])
  })

  it("keeps the code and fix of a probe's own error", async () => {
    const fail = () =>
      Promise.reject(new PolymlaError('POLYMLA_DRIVER_TOO_OLD', 'driver 1', { fix: 'Get driver 2' }))
    const [info] = await runtimeOf([
      { name: 'x', apiVersion: API_VERSION, probe: fail, open: fail },
    ]).listDevices()
    const reason = { code: 'POLYMLA_DRIVER_TOO_OLD', message: 'driver 1', fix: 'Get driver 2' }
    expect(info).toMatchObject({ reason })
  })

  it.each([
    [undefined],
    [{}],
    [[null]],
    [[{ ...usable, id: 'y:0' }]],
    [[{ ...usable, id: 7 }]],
    [[{ ...usable, score: Number.NaN }]],
    [[{ ...usable, available: 1 }]],
    [[{ ...usable, available: false }]],
  ])('does not reject for a probe that lists %o', async (infos) => {
    const all = await runtimeOf([listing('x', infos), new MemoryBackend()]).listDevices()
    expect(all.map(({ id, available }) => [id, available])).toEqual([
      ['memory', true],
      ['x', false],
    ])
  })
})

describe('POLYMLA_BACKENDS', () => {
  it('is the list of backends that are probed', async () => {
    const backends = ['a', 'b', 'c'].map((name) => new MemoryBackend({ name }))
    const runtime = runtimeOf(backends, { env: { POLYMLA_BACKENDS: ' c, a ,' } })
    expect((await runtime.listDevices()).map(({ id }) => id)).toEqual(['a', 'c'])
    await expect(runtime.selectDevice('b')).rejects.toThrow(coded('POLYMLA_DEVICE_NOT_FOUND'))
  })

  it('means all when it is empty', async () => {
    const runtime = runtimeOf([new MemoryBackend()], { env: { POLYMLA_BACKENDS: ' ,' } })
    expect(await runtime.listDevices()).toHaveLength(1)
  })
})

describe('opening', () => {
  const options: MemoryOptions = { failures: { createStream: new Error('no stream') } }

  it('leaves nothing open when the device makes no stream', async () => {
    const backend = new MemoryBackend(options)
    await expect(runtimeOf([backend]).selectDevice('memory')).rejects.toThrow('no stream')
    expect(backend.opened[0].disposed).toBe(true)
  })
})

describe('options', () => {
  it.each<[string, object]>([
    ['options', [] as object],
    ['options.backend', { backend: [] }],
    ['backends', { backends: new MemoryBackend() }],
  ])('of a runtime: refuses %s', (path, bad) => {
    expect(() => createRuntime(bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })

  it('of a selection: refuses misspelt names', async () => {
    const selected = runtimeOf([new MemoryBackend()]).selectDevice('auto', { requires: null } as never)
    await expect(selected).rejects.toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'options.requires'))
  })

  it('of createDevice: it wants an id', async () => {
    await expect(createDevice(undefined as never)).rejects.toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'id'))
  })
})

function raise(error: Error): never {
  throw error
}
