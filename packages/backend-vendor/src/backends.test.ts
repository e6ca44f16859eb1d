import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRuntime, type DeviceInfo } from '@polymla/core'
import { describe, expect, it, vi } from 'vitest'
import { vendorBackend, vendorBackends } from './backends.js'
import { installPort, makeFolder, notRunnable, pluginPath, suite, writePort } from './ports.fixtures.js'
import { VENDORS } from './vendors.js'

const secure = vi.hoisted(() => ({ process: false }))
vi.mock('@polymla/native', async (original) => ({
  ...(await original<typeof import('@polymla/native')>()),
  isSecureProcess: () => secure.process,
}))

/** A thread that calls exit() while others run may crash the process on its way out. */
const EXITED = /exit code 3|by SIG[A-Z]+/

/** Devices by id, with a vendor package found only where it is looked up from. */
async function devices(variable = '', roots: string[] = [], timeout = 20_000) {
  const env = { POLYMLA_VENDOR_PLUGIN: variable }
  const backends = vendorBackends({ env, roots, timeout }).filter(({ onRequest }) => !onRequest)
  const listed = await createRuntime({ backends, env: {} }).listDevices()
  return new Map(listed.map((info) => [info.id, info]))
}

const reasonOf = (info: DeviceInfo | undefined) => (info && !info.available ? info.reason : undefined)

describe('vendors', () => {
  it('are all listed, each with a reason and what to do', async () => {
    const listed = await devices()
    for (const { id } of VENDORS) {
      const device = [...listed.values()].find((info) => info.id.split(':')[0] === id)
      expect(device).toBeDefined()
      if (device?.available === false) expect(device.reason.fix).not.toBe('')
    }
  })

  it('without a library say how to name one', async () => {
    expect((await devices()).get('metax')).toMatchObject({
      available: false,
      reason: {
        code: 'POLYMLA_BACKEND_NOT_FOUND',
        message: expect.stringMatching(/^no library for MetaX GPUs is installed/),
        fix: expect.stringContaining('POLYMLA_VENDOR_PLUGIN=metax=/path/to/libpolymla_metax.so'),
      },
    })
  })

  it('are errors with that reason when one of their devices is selected', async () => {
    const runtime = createRuntime({ backends: vendorBackends({ env: {}, roots: [] }), env: {} })
    await expect(runtime.selectDevice('metax:0')).rejects.toMatchObject({
      code: 'POLYMLA_DEVICE_UNAVAILABLE',
      message: expect.stringContaining('no library for MetaX GPUs is installed'),
    })
  })
})

describe.skipIf(notRunnable)(suite('POLYMLA_VENDOR_PLUGIN'), () => {
  it('names a library for a vendor, whose devices are numbered', async () => {
    const listed = await devices(`metax=${pluginPath('noop')}`)
    expect(listed.get('metax:0')).toMatchObject({ available: true })
    expect(listed.has('metax')).toBe(false)
  })

  it('names several, also of makers that polymla does not know', async () => {
    const listed = await devices(`metax=${pluginPath('noop')}:acme=${pluginPath('faulty')}`)
    expect(listed.get('metax:0')?.available).toBe(true)
    expect(listed.get('acme:0')?.available).toBe(true)
    expect(reasonOf(listed.get('acme:1'))?.code).toBe('POLYMLA_DRIVER_TOO_OLD')
  })

  it('takes the name from the file', async () => {
    const folder = makeFolder()
    copyFileSync(pluginPath('noop'), join(folder, 'libpolymla_acme_x.so'))
    expect((await devices(join(folder, 'libpolymla_acme_x.so'))).has('acme-x:0')).toBe(true)
  })

  it.each(['folder', 'manifest', 'library'] as const)('takes the %s of a port', async (kind) => {
    const folder = makeFolder()
    const port = { folder, ...writePort(folder, 'noop', { ids: 'arch' }) }
    expect((await devices(port[kind])).get('acme:test')).toMatchObject({ available: true })
  })

  it('takes a device of its own name before any other', async () => {
    const env = { POLYMLA_VENDOR_PLUGIN: `metax=${pluginPath('memory')}`, POLYMLA_DEVICE: 'metax:0' }
    const runtime = createRuntime({ backends: vendorBackends({ env, roots: [] }), env })
    await using device = await runtime.selectDevice()
    expect(device.id).toBe('metax:0')
  })

  it.each([
    ['relative.so', 'expected the absolute path of a library'],
    ['metax=relative.so', 'expected the absolute path of a library'],
    ['/opt/acme/backend.so', 'libpolymla_NAME.so'],
    ['cuda=/opt/acme/libpolymla_acme.so', 'other than cpu, cuda, reference, vendor'],
    ['Acme=/opt/acme/x.so', 'a name of lower-case letters'],
    ['=/opt/acme/x.so', 'a name of lower-case letters'],
    ['/nowhere/polymla.json', 'found nothing there'],
    ['/dev/null/x.so', 'libpolymla_NAME.so'],
    [`/${'x'.repeat(300)}.so`, 'ENAMETOOLONG'],
  ])('%s is a device that cannot be used, in words', async (entry, message) => {
    const listed = await devices(entry)
    expect(reasonOf(listed.get('vendor'))?.message).toContain(message)
    expect(reasonOf(listed.get('vendor'))?.fix).not.toBe('')
  })

  it('lists every entry that is wrong, beside those that are right', async () => {
    const listed = await devices(`one.so:metax=${pluginPath('noop')}:two.so`)
    expect(reasonOf(listed.get('vendor:0'))?.message).toContain('"one.so"')
    expect(reasonOf(listed.get('vendor:1'))?.message).toContain('"two.so"')
    expect(listed.get('metax:0')?.available).toBe(true)
  })

  it('is not obeyed by a process with foreign rights', async () => {
    secure.process = true
    const listed = await devices(`metax=${pluginPath('exit-in-constructor')}`)
    secure.process = false
    expect(reasonOf(listed.get('vendor'))?.message).toContain('is ignored')
    expect(reasonOf(listed.get('metax'))?.code).toBe('POLYMLA_BACKEND_NOT_FOUND')
  })
})

describe.skipIf(notRunnable)(suite('an installed package'), () => {
  it('is found from the program, by its exported manifest', async () => {
    const root = installPort('metax', 'noop')
    expect((await devices('', [root])).get('metax:0')).toMatchObject({ available: true })
  })

  it('gives way to a plugin that is named, even to one that cannot be used', async () => {
    const root = installPort('metax', 'noop')
    const listed = await devices('metax=/nowhere/x.so', [root])
    expect(reasonOf(listed.get('metax'))?.message).toContain('found nothing there')
  })

  it.each<[what: string, root: () => string, message: string]>([
    [
      'without an exported manifest',
      () => installPort('metax', 'noop', {}, false),
      'does not export polymla.json',
    ],
    [
      'of another name',
      () => installPort('metax', 'noop', { name: 'musa' }),
      'expected "metax", found "musa"',
    ],
    ['without a hash', () => installPort('metax', 'noop', { sha256: undefined }), 'sha256: expected'],
    [
      'with the hash of another file',
      () => installPort('metax', 'noop', { sha256: '0'.repeat(64) }),
      'sha256 000',
    ],
    ['without its library', () => installPort('metax', 'noop', { library: 'x.so' }), 'x.so'],
  ])('%s cannot be used, in words', async (_, root, message) => {
    expect(reasonOf((await devices('', [root()])).get('metax'))?.message).toContain(message)
  })

  it('says which runtime a missing library belongs to', async () => {
    const root = installPort('musa', 'missing-dependency', { runtime: { name: 'MUSA', minimum: '4.2' } })
    expect(reasonOf((await devices('', [root])).get('musa'))).toMatchObject({
      message: expect.stringContaining('libpolymla-test-stub.so'),
      fix: expect.stringContaining('Install MUSA 4.2 or newer'),
    })
  })
})

describe.skipIf(notRunnable)(suite('a broken or hostile plugin is refused or contained, and named'), () => {
  it.each<[plugin: string, code: string, message: string | RegExp]>([
    ['note-major', 'POLYMLA_API_VERSION', 'version 2.0'],
    ['table-major', 'POLYMLA_API_VERSION', 'found 2'],
    ['short-table', 'POLYMLA_API_VERSION', 'member alloc'],
    ['missing-member', 'POLYMLA_API_VERSION', 'member event_record'],
    ['missing-dependency', 'POLYMLA_BACKEND_LOAD_FAILED', 'libpolymla-test-stub.so'],
    ['no-note', 'POLYMLA_BACKEND_LOAD_FAILED', 'the ELF note'],
    ['text', 'POLYMLA_BACKEND_LOAD_FAILED', 'an ELF library'],
    ['segfault-in-constructor', 'POLYMLA_BACKEND_LOAD_FAILED', 'SIGSEGV'],
    ['segfault-in-count', 'POLYMLA_BACKEND_LOAD_FAILED', 'SIGSEGV'],
    ['exit-in-entry', 'POLYMLA_BACKEND_LOAD_FAILED', EXITED],
    ['exit-in-count', 'POLYMLA_BACKEND_LOAD_FAILED', EXITED],
  ])('%s', async (plugin, code, message) => {
    const reason = reasonOf((await devices(`metax=${pluginPath(plugin)}`)).get('metax'))
    expect(reason?.code).toBe(code)
    expect(reason?.message).toContain(pluginPath(plugin))
    expect(reason?.message).toMatch(message)
  })

  it('endless-in-count', async () => {
    const listed = await devices(`metax=${pluginPath('endless-in-count')}`, [], 2000)
    expect(reasonOf(listed.get('metax'))?.message).toContain('did not come back within 2 s')
  })

  it.each([
    ['segfault-in-open', 'SIGSEGV', 20_000],
    ['exit-in-open', EXITED, 20_000],
    ['endless-in-open', 'did not come back', 3000],
  ])('%s', async (plugin, message, timeout) => {
    const listed = await devices(`metax=${pluginPath(plugin)}`, [], timeout)
    expect(listed.get('metax:0')?.available).toBe(true)
    expect(reasonOf(listed.get('metax:1'))?.message).toMatch(message)
    expect(reasonOf(listed.get('metax:1'))?.message).toContain(pluginPath(plugin))
  })

  it('world-writable', async () => {
    const { manifest, library } = writePort(makeFolder(), 'noop')
    chmodSync(library, 0o666)
    const reason = reasonOf((await devices(manifest)).get('acme'))
    expect(reason).toMatchObject({
      message: expect.stringContaining('found mode 666'),
      fix: `Run chmod go-w ${library}`,
    })
  })

  it('wrong hash', async () => {
    const { manifest } = writePort(makeFolder(), 'noop', { sha256: 'f'.repeat(64) })
    expect(reasonOf((await devices(manifest)).get('acme'))?.message).toContain(
      `expected sha256 ${'f'.repeat(64)}`,
    )
  })

  it('another file than before, once it has been replaced', async () => {
    const { manifest, library } = writePort(makeFolder(), 'noop')
    const backend = vendorBackend({ path: manifest })
    expect(await backend.probe()).toMatchObject([{ id: 'acme:0', available: true }])
    writeFileSync(library, 'not a library any more')
    await expect(backend.probe()).rejects.toMatchObject({ code: 'POLYMLA_BACKEND_LOAD_FAILED' })
    await expect(backend.open({ id: 'acme:0' } as DeviceInfo)).rejects.toMatchObject({
      code: 'POLYMLA_BACKEND_LOAD_FAILED',
    })
  })
})
