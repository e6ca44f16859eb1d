import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { PLATFORM } from '../addon.js'
import { notRunnable, pluginPath } from '../plugins.fixtures.js'
import { listAbiChecks, runAbiSuite } from './abi-suite.js'
import { abiMarkdown } from './markdown.js'

const built = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const cpu = built(`backend-cpu/dist/native/${PLATFORM}/libpolymla_cpu.so`)
const missing =
  notRunnable ??
  [built(`native/dist/native/${PLATFORM}/polymla-abi-suite`), cpu].find((path) => !existsSync(path)) ??
  null

/** Two threads are enough, and the same on every machine. */
const options = { threads: '2' }
const one = (library: string, filter: string, timeout = 60_000) =>
  runAbiSuite({ library, filter, timeout, options })

afterEach(() => vi.unstubAllEnvs())

describe.skipIf(missing)(`the ABI suite${missing ? ` (${missing})` : ''}`, () => {
  it('passes the CPU backend, every check of it', async () => {
    const report = await runAbiSuite({ library: cpu, options })
    expect(report.checks.filter(({ status }) => status !== 'passed')).toEqual([])
    expect(report.passed).toBe((await listAbiChecks()).length + 1)
    expect(report.library).toMatchObject({ name: 'cpu', abi: '1.0', devices: [{ usable: true }] })
  })

  it.each([
    ['any host', 'table', 'a host of the next major version is accepted'],
    ['member that is no code', 'table', 'copy_pages is not the address of a function'],
    ['half of capture', 'table', 'of the four members for graphs, some are NULL'],
    ['any index', 'devices', 'there is a device -1'],
    ['failure without an error', 'errors', 'leaves its error as it was'],
    ['success with an error', 'errors', 'open succeeds and writes its error'],
    ['answer past its end', 'sizes', 'ended by SIGSEGV'],
    ['problem past its end', 'sizes', 'ended by SIGSEGV'],
    ['any mask', 'enums', 'accepts mask = 3'],
    ['moody fit', 'fit', 'fit gives two answers'],
    ['plan that fit promised', 'fit', 'plan_new fails with status 10'],
    ['late upload', 'transfers', 'ended by SIGSEGV'],
    ['short copy', 'transfers', 'did not arrive as they were sent'],
    ['stray write', 'launches', 'memory around out was written'],
    ['gap in the output', 'launches', 'of out is not written, or NaN'],
    ['output on stdout', 'launches', 'the library wrote on stdout: "decoding'],
    ['exit in a launch', 'launches', 'the process ended'],
    ['arguments read later', 'guard-pages', 'a struct after the call that it was for was touched'],
    ['read past the end', 'guard-pages', 'SIGSEGV: decode bf16, 16 heads: byte 1 past the end of q'],
    [
      'read before the beginning',
      'guard-pages',
      'SIGSEGV: decode bf16, 16 heads: byte 4 before the beginning of block_table',
    ],
    ['two notifications', 'events', 'two events notified'],
    ['arguments shared by threads', 'two-threads', ''],
    ['capture that executes', 'graphs', 'is executed while it is captured'],
    ['out of memory by another name', 'device-memory', 'status 10'],
    ['malloc unchecked', 'host-memory', 'ended by SIGSEGV'],
    ['lost memory', 'leaks', 'blocks of host memory more'],
    ['crash at exit', 'exit', 'ended by SIGABRT after the check had passed'],
  ])('finds "%s" with the check %s', async (fault, check, message) => {
    vi.stubEnv('POLYMLA_SABOTAGE_OF', cpu)
    vi.stubEnv('POLYMLA_SABOTAGE', fault)
    const { checks } = await one(pluginPath('saboteur'), check)
    const found = checks.find(({ name }) => name === check)
    expect(found).toMatchObject({ status: 'failed', message: expect.stringContaining(message) })
  })

  it('finds nothing where nothing is spoilt', async () => {
    vi.stubEnv('POLYMLA_SABOTAGE_OF', cpu)
    for (const check of ['table', 'sizes', 'launches', 'events', 'two-threads', 'leaks']) {
      expect((await one(pluginPath('saboteur'), check)).failed).toBe(0)
    }
  })

  it('ends a check that takes too long', async () => {
    vi.stubEnv('POLYMLA_SABOTAGE_OF', cpu)
    vi.stubEnv('POLYMLA_SABOTAGE', 'endless fit')
    const { checks } = await one(pluginPath('saboteur'), 'enums', 2000)
    expect(checks[1]).toMatchObject({ status: 'failed', message: 'the process did not end within 2 s' })
  })

  it('skips what takes a device where there is none, with the reason', async () => {
    const { checks, failed } = await runAbiSuite({ library: pluginPath('faulty'), device: 1 })
    expect(checks.filter(({ name }) => name !== 'devices' && name !== 'table' && name !== 'file')).toEqual(
      (await listAbiChecks())
        .filter(({ name }) => name !== 'devices' && name !== 'table')
        .map(({ name, about }) => ({
          name,
          about,
          status: 'skipped',
          message: 'device 1 cannot be used: driver 450.80 is older than 525.60',
          milliseconds: 0,
        })),
    )
    expect(failed).toBeGreaterThan(0) // its third device has texts without an end
  })

  it.each(['memory', 'memory-polled'])('passes the example %s', async (plugin) => {
    const { checks } = await runAbiSuite({ library: pluginPath(plugin) })
    expect(checks.filter(({ status }) => status !== 'passed')).toEqual([])
  })

  it.each([
    ['noop', 'wrote nothing to out'],
    ['minimal', 'wrote nothing to out'],
    ['echo', 'of out is not written'],
  ])('finds launches of %s that compute nothing, and nothing else', async (plugin, message) => {
    const { checks } = await runAbiSuite({ library: pluginPath(plugin) })
    const kept = checks.filter(({ status }) => status === 'passed').map(({ name }) => name)
    expect(kept).toEqual(
      expect.arrayContaining(['file', 'table', 'devices', 'errors', 'sizes', 'enums', 'transfers', 'exit']),
    )
    for (const { name, message: found } of checks.filter(({ status }) => status === 'failed')) {
      expect({ name, found }).toEqual({ name, found: expect.stringContaining(message) })
    }
  })

  it.each(['note-major', 'text', 'missing-dependency'])(
    'loads nothing that must not be loaded: %s',
    async (plugin) => {
      const { checks, library } = await runAbiSuite({ library: pluginPath(plugin) })
      expect(checks).toMatchObject([{ name: 'file', status: 'failed' }])
      expect(library.name).toBeNull()
    },
  )

  it.each(['segfault-in-constructor', 'exit-in-entry', 'segfault-in-count'])(
    'survives %s',
    async (plugin) => {
      const { checks } = await one(pluginPath(plugin), 'devices')
      expect(checks.at(-1)).toMatchObject({
        name: 'devices',
        status: 'failed',
        message: expect.stringMatching(/ended/),
      })
    },
  )

  it('stops when it is told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(runAbiSuite({ library: cpu, signal })).rejects.toThrow('enough')
  })
})

describe('a report for people', () => {
  it('has the device, the driver and the commit, and what failed', () => {
    const check = { name: 'fit', about: 'a | b', milliseconds: 1 } as const
    const report = {
      library: {
        path: '/x.so',
        name: 'acme',
        version: '1.2',
        abi: '1.0',
        driver: 'Acme 7',
        devices: [{ usable: true, name: 'X1', arch: 'a1', reason: '' }],
      },
      device: 0,
      seed: 3,
      effort: 1,
      passed: 1,
      failed: 1,
      skipped: 0,
      milliseconds: 2,
      checks: [
        { ...check, status: 'passed', message: 'ok' },
        { ...check, status: 'failed', message: 'two\nlines' },
      ],
    } as const
    const text = abiMarkdown(report, { commit: 'abc' })
    expect(text).toContain('# ABI conformance: 1 passed, 1 failed, 0 skipped')
    expect(text).toContain('| device | 0: X1 (a1) |')
    expect(abiMarkdown({ ...report, device: 2 }, {})).toContain('| device | 2: none |')
    expect(text).toContain('| driver | Acme 7 |')
    expect(text).toContain('| commit | abc |')
    expect(text).toContain('| date | not given |')
    expect(text).toContain('| fit | passed | a \\| b |')
    expect(text).toContain('- **fit** failed: two lines')
  })
})
