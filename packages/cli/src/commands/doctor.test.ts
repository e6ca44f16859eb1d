import reference from '@polymla/backend-reference'
import { faultyBackend } from '@polymla/conformance'
import { API_VERSION, type Backend } from '@polymla/core'
import { expect, test } from 'vitest'
import { run } from '../run.fixtures.js'

const fix = 'Install a driver'
const BROKEN: Backend = {
  name: 'broken',
  apiVersion: API_VERSION,
  probe: async () => [
    {
      id: 'broken',
      name: 'Broken',
      arch: 'x',
      score: 1,
      available: false,
      reason: { code: 'POLYMLA_DRIVER_TOO_OLD', message: 'no driver', fix },
    },
  ],
  open: async () => {
    throw new Error('never opened')
  },
}

test('checks every device and reports what it finds', async () => {
  const env = { POLYMLA_DEVICE: 'reference', POLYMLA_CPU_THREADS: '1', PATH: '/nowhere' }
  const { code, stdout } = await run(['doctor', '--json'], { backends: [reference(), BROKEN], env })
  const found = JSON.parse(stdout)
  expect(code).toBe(0)
  const environment = { POLYMLA_DEVICE: 'reference', POLYMLA_BACKENDS: null, POLYMLA_CPU_THREADS: '1' }
  expect(found).toMatchObject({ node: process.version, environment })
  expect(found.packages).toContainEqual({ name: '@polymla/core', version: expect.stringMatching(/^\d/) })
  expect(found.tools).toContainEqual({ name: 'nvcc', path: null })
  const checks = Object.fromEntries(
    found.devices.map((device: { id: string; check: unknown }) => [device.id, device.check]),
  )
  expect(checks).toMatchObject({ reference: { passed: true, message: null }, broken: null })
  expect(checks.reference.cases).toBeGreaterThan(5)
})

test('prints it for people', async () => {
  const { stdout } = await run(['doctor'], { backends: [BROKEN], env: { PATH: '/usr/bin:/bin' } })
  for (const title of ['runtime', 'packages', 'environment', 'build tools', 'devices']) {
    expect(stdout).toMatch(new RegExp(`^${title}$`, 'm'))
  }
  expect(stdout).toContain(`broken cannot be used: no driver (POLYMLA_DRIVER_TOO_OLD)\n  fix ${fix}`)
})

test('exits with 1 when nothing is usable', async () => {
  expect((await run(['doctor'], { backends: [BROKEN] })).code).toBe(1)
})

test('a device that gives wrong results is not usable', async () => {
  const { code, stdout } = await run(['doctor'], { backends: [faultyBackend(reference(), 'base-2 LSE')] })
  expect(stdout).toMatch(/^failed reference: dense.* lse: /m)
  expect(code).toBe(1)
})
