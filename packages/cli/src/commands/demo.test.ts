import reference from '@polymla/backend-reference'
import { faultyBackend } from '@polymla/conformance'
import { expect, test } from 'vitest'
import { measured, run } from '../run.fixtures.js'

test('lists devices, says what it chose and why, and verifies the recorded inputs', async () => {
  const { code, stdout, stderr } = await run(['demo'])
  expect(stdout).toMatch(/^\* +reference /m)
  expect(stdout).toContain('chose reference: the highest score among usable devices')
  expect(stdout).toContain('dense.safetensors.gz on reference')
  expect(stdout).toContain('sparse.safetensors.gz on reference')
  expect(stdout).toMatch(/all results agree\n$/)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

test('takes the device it is told to', async () => {
  const { stdout } = await run(['demo', '--device', 'reference'])
  expect(stdout).toContain('chose reference: it was asked for')
})

test('says how near a device that measures itself came to its peaks', async () => {
  const { stdout } = await run(['demo'], { backends: [measured] })
  expect(stdout).toContain('measured peaks: reading')
  expect(stdout).toMatch(/^dense\.bf16 b1 s_q1 s_k4096 h_q128: .*, \d+% of the (arithmetic|reading) peak$/m)
})

test('exits with 1 when a result disagrees', async () => {
  const { code, stdout } = await run(['demo'], { backends: [faultyBackend(reference(), 'base-2 LSE')] })
  expect(stdout).toMatch(/^bf16_h128: lse: .* out of bounds/m)
  expect(stdout).toMatch(/results disagree\n$/)
  expect(code).toBe(1)
})
