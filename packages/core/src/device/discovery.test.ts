import { beforeEach, describe, expect, it, vi } from 'vitest'
import { MemoryBackend } from '../testing/memory-backend.js'
import { consoleLogger } from './logger.js'
import { createRuntime } from './runtime.js'

type Env = Readonly<Record<string, string | undefined>>
const installed = vi.hoisted(() => ({
  reference: (): unknown => null,
  vendors: (_env: Env): unknown => null,
}))
vi.mock('@polymla/backend-cpu', () => ({
  default: () => {
    throw missing('@polymla/backend-cpu')
  },
}))
vi.mock('@polymla/backend-cuda-hopper', () => ({
  default: () => {
    throw missing('@polymla/backend-cuda-hopper')
  },
}))
vi.mock('@polymla/backend-vendor', () => ({
  default: (options: { env: Readonly<Record<string, string>> }) => installed.vendors(options.env),
}))
vi.mock('@polymla/backend-reference', () => ({ default: () => installed.reference() }))
vi.mock('@acme/polymla', () => ({ default: () => new MemoryBackend({ name: 'acme', score: 70 }) }))
vi.mock('not-a-backend', () => ({ default: () => undefined }))
vi.mock('exports-nothing', () => ({ default: undefined }))

function missing(what: string): Error {
  return Object.assign(new Error(`Cannot find package '${what}' imported from /x/index.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
}

async function listed(POLYMLA_BACKENDS?: string, backends: MemoryBackend[] = []) {
  const runtime = createRuntime({ discover: true, backends, env: { POLYMLA_BACKENDS }, logger: () => {} })
  return (await runtime.listDevices()).map(({ id, available }) => `${id} ${available}`)
}

beforeEach(() => {
  installed.reference = () => new MemoryBackend({ name: 'reference', score: 0 })
  installed.vendors = () => {
    throw missing('@polymla/backend-vendor')
  }
})

describe('discovery', () => {
  it('finds installed first-party backends, once', async () => {
    let made = 0
    installed.reference = () => {
      made++
      return new MemoryBackend({ name: 'reference', score: 0 })
    }
    const runtime = createRuntime({ env: {} })
    await Promise.all([runtime.listDevices(), runtime.listDevices()])
    expect((await runtime.listDevices()).map(({ id }) => id)).toEqual(['reference'])
    expect(made).toBe(1)
  })

  it('is off where backends are given, unless it is asked for', async () => {
    const backends = [new MemoryBackend()]
    expect(await createRuntime({ backends, env: {} }).listDevices()).toHaveLength(1)
    expect(await listed(undefined, backends)).toEqual(['memory true', 'reference true'])
  })

  it('does not load what is registered already', async () => {
    installed.reference = () => {
      throw new Error('must not be loaded')
    }
    expect(await listed(undefined, [new MemoryBackend({ name: 'reference' })])).toEqual(['reference true'])
  })

  it('leaves out a backend that is not installed, unless it was named', async () => {
    installed.reference = () => {
      throw missing('@polymla/backend-reference')
    }
    expect(await listed()).toEqual([])
    expect(await listed('reference')).toEqual(['reference false'])
  })

  it.each([
    ['lacks a package', missing('left-pad')],
    ['does not parse', new SyntaxError('unexpected token')],
    ['throws null', null],
  ])('shows a backend that is installed but %s', async (_what, error) => {
    installed.reference = () => {
      throw error
    }
    expect(await listed()).toEqual(['reference false'])
  })
})

describe('vendors', () => {
  beforeEach(() => {
    installed.vendors = ({ ACME }) => [
      new MemoryBackend({ name: 'metax', score: 100 }),
      ...(ACME ? [new MemoryBackend({ name: ACME, score: 100 })] : []),
      Object.assign(new MemoryBackend({ name: 'emu', score: 0 }), { onRequest: true }),
    ]
  })

  it('come from one package, as the environment names them', async () => {
    expect(await listed()).toEqual(['metax true', 'reference true'])
    const runtime = createRuntime({ env: { ACME: 'acme' } })
    expect((await runtime.listDevices()).map(({ id }) => id)).toEqual(['acme', 'metax', 'reference'])
  })

  it('are allowed one by one', async () => {
    expect(await listed('metax')).toEqual(['metax true'])
    expect(await listed('emu,reference')).toEqual(['emu true', 'reference true'])
    expect(await listed('vendor')).toEqual(['metax true'])
    expect(await listed('musa')).toEqual(['musa false'])
  })

  it('that are for requests are there when they are selected, and not before', async () => {
    const runtime = createRuntime({ env: {} })
    expect((await runtime.selectDevice('emu')).id).toBe('emu')
    const named = createRuntime({ env: { POLYMLA_DEVICE: 'emu' } })
    expect((await named.selectDevice()).id).toBe('emu')
  })

  it('that are for requests stay away where others alone are allowed', async () => {
    const runtime = createRuntime({ env: { POLYMLA_BACKENDS: 'reference' } })
    await expect(runtime.selectDevice('emu')).rejects.toMatchObject({ code: 'POLYMLA_DEVICE_NOT_FOUND' })
  })

  it('whose package is broken are unusable, with the reason', async () => {
    installed.vendors = () => {
      throw new SyntaxError('unexpected token')
    }
    expect(await listed()).toEqual(['reference true', 'vendor false'])
    expect(await listed('metax')).toEqual(['metax false'])
  })
})

describe('POLYMLA_BACKENDS', () => {
  it('names packages beside the known names', async () => {
    expect(await listed('@acme/polymla')).toEqual(['acme true'])
    expect(await listed('reference,@acme/polymla')).toEqual(['acme true', 'reference true'])
  })

  it('allows the backend of a package it names when that is registered too', async () => {
    expect(await listed('@acme/polymla', [new MemoryBackend({ name: 'acme' })])).toEqual(['acme true'])
  })

  it('shows names that stand for no backend', async () => {
    expect(await listed('not-a-backend,exports-nothing,no-such-package')).toEqual([
      'exports-nothing false',
      'no-such-package false',
      'not-a-backend false',
    ])
  })

  it('says what a package lacks', async () => {
    const runtime = createRuntime({ env: { POLYMLA_BACKENDS: 'exports-nothing' }, logger: () => {} })
    expect(await runtime.listDevices()).toMatchObject([
      {
        reason: { message: expect.stringMatching(/^default export of exports-nothing: expected a function/) },
      },
    ])
  })

  it('a backend that failed to load is an error by its name, until one is registered', async () => {
    const runtime = createRuntime({ env: { POLYMLA_BACKENDS: 'not-a-backend' }, logger: () => {} })
    await expect(runtime.selectDevice('not-a-backend')).rejects.toMatchObject({
      code: 'POLYMLA_DEVICE_UNAVAILABLE',
    })
    runtime.registerBackend(new MemoryBackend({ name: 'not-a-backend' }))
    expect((await runtime.selectDevice('not-a-backend')).info.available).toBe(true)
  })
})

describe('the default runtime', () => {
  it('is behind the functions of the package', async () => {
    vi.stubEnv('POLYMLA_BACKENDS', '')
    vi.stubEnv('POLYMLA_DEVICE', '')
    const { createDevice, listDevices, registerBackend, selectDevice } = await import('./runtime.js')
    registerBackend(new MemoryBackend({ name: 'mine', score: 60 }))
    expect((await listDevices()).map(({ id }) => id)).toEqual(['mine', 'reference'])
    expect((await selectDevice()).id).toBe('mine')
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    vi.stubEnv('POLYMLA_DEVICE', 'auto')
    expect((await createDevice('reference')).id).toBe('reference')
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
    vi.unstubAllEnvs()
  })
})

describe('the console logger', () => {
  it('prints warnings alone', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    consoleLogger('info', 'nothing to see')
    await createRuntime({ backends: [new MemoryBackend({ name: 'x', score: 0 })], env: {} }).selectDevice()
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/^polymla: auto chose x/))
    warn.mockRestore()
  })
})
