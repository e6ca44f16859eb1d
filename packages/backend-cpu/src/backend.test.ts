import { createRuntime } from '@polymla/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { cpu } from './backend.js'
import { usableIsas } from './isas.fixtures.js'

const isas = await usableIsas()
const open = (...given: Parameters<typeof cpu>) =>
  createRuntime({ backends: [cpu(...given)] }).selectDevice('cpu')

const refusal = (word: string) =>
  expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', message: expect.stringContaining(word) })

afterEach(() => vi.unstubAllEnvs())

describe.skipIf(isas.length === 0)('cpu (skipped where its library is not built)', () => {
  it('is a device that auto takes before the reference and after accelerators', async () => {
    const [info] = await cpu().probe()
    expect(info).toMatchObject({ id: 'cpu', arch: isas[0], available: true })
    expect(info.score).toBeGreaterThan(0)
    expect(info.score).toBeLessThan(100)
  })

  it.each(isas)('computes with %s when it is asked to', async (isa) => {
    await using device = await open({ isa, threads: 1 })
    expect(device.info.arch).toBe(isa)
  })

  it.each([
    [{ threads: 0 }, 'threads'],
    [{ threads: 1.5 }, 'threads'],
    [{ isa: 'sse' }, 'scalar'],
    [{ thread: 1 } as object, 'threads, pin or isa'],
  ])('refuses %o in words', async (options, word) => {
    await expect(open(options)).rejects.toThrow(refusal(word))
  })

  it('takes options from the environment, unless they are given', async () => {
    vi.stubEnv('POLYMLA_CPU_THREADS', 'many')
    vi.stubEnv('POLYMLA_CPU_PIN', '')
    vi.stubEnv('POLYMLA_CPU_ISA', 'scalar')
    await expect(open()).rejects.toThrow(refusal('many'))
    await using device = await open({ threads: 2, pin: false })
    expect(device.info.arch).toBe('scalar')
  })
})
