import { describe, expect, it } from 'vitest'
import { copyPagesProblem } from '../problem/index.js'
import { MemoryBackend, type MemoryOptions } from '../testing/memory-backend.js'
import { coded } from '../testing/open-memory.js'
import { createRuntime, type RuntimeOptions } from './runtime.js'

const problem = copyPagesProblem({ maxPairs: 1, cache: { format: 'bf16', pages: 1 } as never })
const unsupported = { supports: () => 'copyPages is not there' }

function setup(given: MemoryOptions[], env: RuntimeOptions['env'] = {}) {
  const warnings: string[] = []
  const backends = given.map((options) => new MemoryBackend(options))
  const logger = (_level: string, message: string) => warnings.push(message)
  return { ...createRuntime({ backends, env, logger }), backends, warnings }
}

/** A backend whose devices are unavailable but for those with one of the ids. */
function partly(ids: string[], available: string[]): MemoryBackend {
  const backend = new MemoryBackend({ name: 'cuda', ids })
  const reason = { code: 'POLYMLA_DRIVER_TOO_OLD', message: 'the driver is too old', fix: 'Update it' }
  backend.probe = async () =>
    ids.map((id) => ({
      ...{ id, name: id, arch: 'sm_90', score: 100 },
      ...(available.includes(id) ? { available: true } : { available: false, reason }),
    }))
  return backend
}

describe('auto', () => {
  it('takes the best device that is usable, and remembers why others were passed over', async () => {
    const { registerBackend, selectDevice, backends, warnings } = setup([
      { name: 'cpu', score: 10 },
      { name: 'opens-not', score: 90, failures: { open: new Error('busy') } },
      { name: 'lacks', score: 80, ...unsupported },
      { name: 'reference', score: 0 },
    ])
    registerBackend(partly(['cuda:0'], []))
    const device = await selectDevice('auto', { require: problem })
    expect([device.id, device.info.score]).toEqual(['cpu', 10])
    expect(device.selection).toEqual([
      { id: 'cuda:0', reason: 'the driver is too old' },
      { id: 'opens-not', reason: 'busy' },
      { id: 'lacks', reason: 'copyPages is not there' },
    ])
    expect(backends.map(({ opened }) => opened.map(({ disposed }) => disposed))).toEqual([
      [false],
      [],
      [true],
      [],
    ])
    expect(warnings).toEqual([])
  })

  it('warns when only the reference is left', async () => {
    const { selectDevice, warnings } = setup([{ name: 'reference', score: 0 }])
    await selectDevice()
    expect(warnings).toEqual([expect.stringContaining('reference')])
  })

  it('lists every reason when nothing is left', async () => {
    const { selectDevice, backends } = setup([
      { name: 'a', supports: () => raise(new Error('asked too much')) },
      { name: 'b', failures: { open: 'no error object' as never } },
    ])
    const error = await selectDevice('auto', { require: problem }).catch((failure) => failure)
    expect(error).toMatchObject({ code: 'POLYMLA_DEVICE_NOT_FOUND' })
    expect(error.message).toContain('\n  a: asked too much')
    expect(error.message).toContain('\n  b: no error object')
    expect(backends[0].opened[0].disposed).toBe(true)
    await expect(setup([]).selectDevice()).rejects.toThrow('no backend is registered')
  })
})

describe('an explicit id', () => {
  it('is opened whatever is better, and warns of nothing', async () => {
    const { selectDevice, warnings } = setup([{ name: 'reference', score: 0 }, { name: 'cpu' }])
    const device = await selectDevice('reference')
    expect([device.id, device.selection, warnings]).toEqual(['reference', [], []])
  })

  it('that nobody has is an error that lists those there are', async () => {
    const { selectDevice } = setup([{ name: 'a' }, { name: 'b', ids: ['b:0', 'b:1'] }])
    await expect(selectDevice('b:2')).rejects.toThrow('"b:2"; there are: a, b:0, b:1')
    await expect(setup([]).selectDevice('a')).rejects.toThrow('there are: none')
  })

  it('never falls back', async () => {
    const { registerBackend, selectDevice } = setup([
      { name: 'lacks', ...unsupported },
      { name: 'broken', failures: { open: new Error('busy') } },
      { name: 'good' },
    ])
    registerBackend(partly(['cuda:0', 'cuda:1'], ['cuda:1']))
    await expect(selectDevice('broken')).rejects.toThrow('busy')
    await expect(selectDevice('cuda:0')).rejects.toThrow(
      expect.objectContaining({
        code: 'POLYMLA_DEVICE_UNAVAILABLE',
        device: 'cuda:0',
        message: 'cuda:0: the driver is too old. Update it',
      }),
    )
    await expect(selectDevice('lacks', { require: problem })).rejects.toThrow(
      expect.objectContaining({ code: 'POLYMLA_UNSUPPORTED', message: 'lacks: copyPages is not there' }),
    )
  })

  it('may be the name of a backend: its first usable device', async () => {
    const { registerBackend, selectDevice } = setup([])
    registerBackend(partly(['cuda:0', 'cuda:1', 'cuda:2'], ['cuda:1', 'cuda:2']))
    expect((await selectDevice('cuda')).id).toBe('cuda:1')
    const none = setup([])
    none.registerBackend(partly(['cuda:0'], []))
    await expect(none.selectDevice('cuda')).rejects.toThrow(coded('POLYMLA_DEVICE_UNAVAILABLE'))
  })

  it('of a backend that found no devices is an error with its reason', async () => {
    const { registerBackend, selectDevice } = setup([])
    registerBackend(partly(['cuda'], []))
    await expect(selectDevice('cuda:1')).rejects.toThrow('cuda: the driver is too old. Update it')
  })

  it.each([
    ['id', '', {}],
    ['id', 5, {}],
    ['options', 'auto', null],
    ['problem', 'auto', { require: 'decode' }],
    ['problem.op', 'auto', { require: { op: 'attend' } }],
    ['maxPairs', 'memory', { require: { ...problem, maxPairs: -1 } }],
  ])('refuses %s in (%o, %o), and opens nothing', async (path, id, options) => {
    const { selectDevice, backends } = setup([{ name: 'memory' }])
    await expect(selectDevice(id as string, options as object)).rejects.toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
    expect(backends[0].opened).toEqual([])
  })
})

describe('POLYMLA_DEVICE', () => {
  it('replaces auto and nothing else', async () => {
    const { selectDevice } = setup([{ name: 'fast', score: 90 }, { name: 'slow' }], {
      POLYMLA_DEVICE: 'slow',
    })
    expect((await selectDevice()).id).toBe('slow')
    expect((await selectDevice('fast')).id).toBe('fast')
  })

  it('never falls back', async () => {
    const { selectDevice } = setup([{ name: 'memory' }], { POLYMLA_DEVICE: 'cuda:0' })
    await expect(selectDevice('auto')).rejects.toThrow(coded('POLYMLA_DEVICE_NOT_FOUND'))
  })

  it('may say auto, or nothing', async () => {
    for (const POLYMLA_DEVICE of ['auto', '']) {
      expect((await setup([{ name: 'memory' }], { POLYMLA_DEVICE }).selectDevice()).id).toBe('memory')
    }
  })
})

function raise(error: Error): never {
  throw error
}
