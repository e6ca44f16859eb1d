import { API_VERSION, type Backend, type DeviceInfo, PolymlaError } from '@polymla/core'
import { expect, test } from 'vitest'
import { run } from '../run.fixtures.js'

const FAST = {
  id: 'fast',
  name: 'Fast',
  arch: 'x1',
  score: 200,
  memoryBytes: 2 ** 30,
  available: true,
} as const
const SLOW = { id: 'slow', name: 'Slow', arch: 'x0', score: 5, available: true } as const
const reason = { code: 'POLYMLA_DRIVER_TOO_OLD', message: 'driver 1 is too old', fix: 'Install driver 2' }
const OLD = { id: 'old', name: 'Old', arch: 'x2', score: 300, available: false, reason } as const

function backend(info: DeviceInfo, failure?: string): Backend {
  return {
    name: info.id,
    apiVersion: API_VERSION,
    probe: async () => [info],
    async open() {
      if (failure) throw new PolymlaError('POLYMLA_DEVICE_UNAVAILABLE', failure)
      return { createStream: () => ({}), dispose: async () => {} } as never
    },
  }
}

const devices = (backends: readonly Backend[], env = {}) => run(['devices'], { backends, env })

test('lists usable and unusable devices, and marks the one that auto takes', async () => {
  const { code, stdout, stderr } = await devices([backend(SLOW), backend(OLD), backend(FAST)])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^\* +fast +Fast +x1 +1 GiB +200 +usable$/m)
  expect(stdout).toMatch(/^ +old +Old +x2 +300 +unusable$/m)
  expect(stdout).toContain('auto takes fast: the highest score among usable devices')
  expect(stdout).toContain('auto passes over slow: fast comes first')
  expect(stdout).toContain(
    'old cannot be used: driver 1 is too old (POLYMLA_DRIVER_TOO_OLD)\n  fix Install driver 2',
  )
  expect(stderr).toBe('')
})

test('says why a better device was passed over', async () => {
  const { stdout } = await devices([backend(FAST, 'it is busy'), backend(SLOW)])
  expect(stdout).toContain('auto takes slow')
  expect(stdout).toContain('auto passes over fast: it is busy')
})

test('says that POLYMLA_DEVICE replaces auto', async () => {
  const { stdout } = await devices([backend(FAST), backend(SLOW)], { POLYMLA_DEVICE: 'slow' })
  expect(stdout).toContain('auto takes slow: POLYMLA_DEVICE=slow replaces auto')
  expect(stdout).toContain('auto passes over fast: POLYMLA_DEVICE=slow replaces auto')
})

test('says what is wrong with POLYMLA_DEVICE', async () => {
  const { code, stdout } = await devices([backend(SLOW)], { POLYMLA_DEVICE: 'gone' })
  expect(code).toBe(0)
  expect(stdout).toContain('auto passes over slow: there is no device "gone"')
})

test('exits with 1 when nothing is usable', async () => {
  expect((await devices([backend(OLD)])).code).toBe(1)
  expect(await devices([])).toEqual({ code: 1, stdout: 'no backend is installed\n', stderr: '' })
})

test('--json gives the same, alone on stdout', async () => {
  const backends = [backend(FAST), backend(OLD)]
  const { stdout } = await run(['devices', '--json'], { backends, terminal: true })
  expect(JSON.parse(stdout)).toEqual([
    { ...OLD, auto: { chosen: false, why: 'driver 1 is too old' } },
    { ...FAST, auto: { chosen: true, why: 'the highest score among usable devices' } },
  ])
})
