import { expect, test } from 'vitest'
import { fixtures } from '../files.js'
import { run } from '../run.fixtures.js'

const [dense] = fixtures()

test('decodes a generated problem and compares it with float64', async () => {
  const { code, stdout } = await run(['decode', '--len', '100', '--batch', '3', '--heads', '5', '--varlen'])
  expect(stdout).toMatch(/^reference \(.*\)$/m)
  expect(stdout).toMatch(/^bf16 b3 s_q1 s_k100 h_q5 varlen seed0 .* (µs|ms) .* passed$/m)
  expect(code).toBe(0)
})

test.each(['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'])('decodes over %s', async (format) => {
  const argv = ['decode', '--len', '90', '--query-tokens', '2', '--causal', '--json', '--format', format]
  const { code, stdout } = await run(argv)
  const found = JSON.parse(stdout)
  expect(found).toMatchObject({ status: 'passed', problem: { mask: 'causal', cache: { format } } })
  expect(found.microseconds).toBeGreaterThan(0)
  expect(found.float64.map((comparison: { tensor: string }) => comparison.tensor)).toEqual(['out', 'lse'])
  expect(code).toBe(0)
})

test('equal seeds give equal results, others do not', async () => {
  const error = async (seed: string) => {
    const { stdout } = await run(['decode', '--len', '90', '--json', '--seed', seed])
    return JSON.parse(stdout).float64[0].relativeNorm
  }
  expect(await error('1')).toBe(await error('1'))
  expect(await error('1')).not.toBe(await error('2'))
})

test('takes a recorded case from a file, by default the first', async () => {
  const decoded = async (...more: string[]) => {
    const { code, stdout } = await run(['decode', '--json', '--input', dense, ...more])
    return { code, name: JSON.parse(stdout).name }
  }
  expect(await decoded()).toEqual({ code: 0, name: 'bf16_h16_mtp' })
  expect(await decoded('--case', 'fp8_h64')).toEqual({ code: 0, name: 'fp8_h64' })
})

test('an unknown case is a usage error that names the cases', async () => {
  const { code, stderr } = await run(['decode', '--input', dense, '--case', 'none'])
  expect(code).toBe(2)
  expect(stderr).toContain('--case: expected one of bf16_h16_mtp, ')
})

test('a problem that no memory holds is a coded error', async () => {
  const { code, stderr } = await run(['decode', '--batch', '65536', '--len', '16777216'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error POLYMLA_OUT_OF_MEMORY the host has no room .* Lower --batch/)
})
