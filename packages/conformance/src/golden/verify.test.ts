import { readFileSync } from 'node:fs'
import { reference } from '@polymla/backend-reference'
import { createRuntime, type Device, fromFloat32, isPolymlaError } from '@polymla/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TensorToWrite, writeSafetensors } from '../safetensors/index.js'
import { faultyBackend } from '../testing/faulty-backend.js'
import { GoldenFile } from './golden-file.js'
import { readRecorded } from './recorded.js'
import { verifyFile } from './verify.js'

const fixture = (name: string) => new URL(`../../fixtures/${name}.safetensors.gz`, import.meta.url).pathname

let device: Device
beforeAll(async () => {
  device = await createRuntime({ backends: [reference()] }).selectDevice('reference')
})
afterAll(() => device.dispose())

describe('recorded results', () => {
  test.each([
    ['dense', 6],
    ['sparse', 5],
  ])('the reference agrees with all of %s', async (name, count) => {
    const { passed, cases } = await verifyFile(device, fixture(name))
    expect(cases.map(({ message }) => message)).toEqual(Array(count).fill(null))
    expect(passed).toBe(count)
    for (const { microseconds, gigabytesPerSecond, teraflopsPerSecond, float64, flashMla } of cases) {
      for (const rate of [microseconds, gigabytesPerSecond, teraflopsPerSecond])
        expect(rate).toBeGreaterThan(0)
      expect(float64.map(({ tensor }) => tensor)).toEqual(flashMla.map(({ tensor }) => tensor))
    }
    expect(device.memory().liveBytes).toBe(0)
  })

  test('a wrong device fails, with the numbers', async () => {
    await using wrong = await createRuntime({
      backends: [faultyBackend(reference(), 'base-2 LSE')],
    }).selectDevice('reference')
    const report = await verifyFile(wrong, readFileSync(fixture('dense')), { filter: 'fp16' })
    expect(report).toMatchObject({ passed: 0, failed: 1, cases: [{ name: 'fp16_h64', status: 'failed' }] })
    expect(report.cases[0].float64[0].passed).toBe(true)
    expect(report.cases[0].message).toMatch(/^lse: 32 of 32 elements out of bounds/)
  })
})

/** A dense case of one key, whose result is that key. */
function tiny(): { tensors: Map<string, TensorToWrite>; scalars: Record<string, unknown> } {
  const tensors = new Map<string, TensorToWrite>()
  const put = (name: string, dtype: TensorToWrite['dtype'], shape: number[], data: ArrayBufferView) =>
    tensors.set(`one.${name}`, { dtype, shape, data })
  const key = Array.from({ length: 16 }, (_, i) => i / 4)
  put('q', 'BF16', [1, 1, 1, 16], new Uint16Array(16))
  put('kv', 'BF16', [1, 1, 1, 16], fromFloat32(key, 'bf16'))
  put('block_table', 'I32', [1, 1], Int32Array.of(0))
  put('seqlens', 'I32', [1], Int32Array.of(1))
  for (const suffix of ['ref', 'flashmla']) {
    const [dtype, data] =
      suffix === 'ref'
        ? (['F32', Float32Array.from(key)] as const)
        : (['BF16', fromFloat32(key, 'bf16')] as const)
    put(`out_${suffix}`, dtype, [1, 1, 1, 16], data)
    put(`lse_${suffix}`, 'F32', [1, 1, 1], new Float32Array(1))
  }
  return { tensors, scalars: { softmax_scale: 1, causal: false } }
}

function written(
  { tensors, scalars }: ReturnType<typeof tiny>,
  cases = JSON.stringify({ one: scalars }),
): Uint8Array {
  return writeSafetensors(tensors, { cases })
}

describe('files that are not what they say', () => {
  test('the tiny file itself is right', async () => {
    expect(await verifyFile(device, written(tiny()))).toMatchObject({ passed: 1, failed: 0 })
  })

  const change = (edit: (file: ReturnType<typeof tiny>) => void) => () => {
    const file = tiny()
    edit(file)
    return written(file)
  }
  const reshape = (name: string, shape: number[], data: ArrayBufferView) =>
    change(({ tensors }) =>
      tensors.set(`one.${name}`, { ...(tensors.get(`one.${name}`) as TensorToWrite), shape, data }),
    )

  test.each<[string, () => Uint8Array, string]>([
    ['no metadata', () => writeSafetensors(tiny().tensors), 'metadata.cases'],
    ['metadata that is no JSON', () => written(tiny(), '{'), 'metadata.cases'],
    ['metadata that is no object', () => written(tiny(), '[1]'), 'metadata.cases'],
    ['no cases', () => written(tiny(), '{}'), 'metadata.cases'],
    ['a case that is no object', () => written(tiny(), '{"one":1}'), 'metadata.cases.one'],
    ['an unknown layout', () => written(tiny(), '{"two":{}}'), 'two'],
    ['a missing tensor', change(({ tensors }) => tensors.delete('one.lse_ref')), 'one.lse_ref'],
    ['a missing scalar', change(({ scalars }) => delete scalars.causal), 'cases.one.causal'],
    ['a scale in words', change(({ scalars }) => (scalars.softmax_scale = 'one')), 'cases.one.softmax_scale'],
    ['a table of another batch', reshape('block_table', [2, 1], new Int32Array(2)), 'one.block_table'],
    ['lengths of two dimensions', reshape('seqlens', [1, 1], new Int32Array(1)), 'one.seqlens'],
    ['an lse of another shape', reshape('lse_flashmla', [1, 1, 2], new Float32Array(2)), 'one.lse_flashmla'],
    ['keys of another width', reshape('kv', [1, 1, 1, 32], new Uint16Array(32)), 'one.q'],
    ['no query tokens', reshape('q', [1, 0, 1, 16], new Uint16Array(0)), 'queryTokens'],
  ])('%s', async (_, file, path) => {
    await expect(verifyFile(device, file())).rejects.toMatchObject({ code: 'POLYMLA_INVALID_ARGUMENT', path })
  })

  test('a page id outside the cache fails its case', async () => {
    const { cases } = await verifyFile(device, reshape('block_table', [1, 1], Int32Array.of(5))())
    expect(cases[0].message).toMatch(/^POLYMLA_INVALID_ARGUMENT: blockTable\[0\]/)
  })

  test('a file that is not there', async () => {
    await expect(verifyFile(device, '/no/such/file')).rejects.toMatchObject({
      code: 'POLYMLA_INVALID_ARGUMENT',
      path: '/no/such/file',
    })
  })

  test('flipped, cut and inserted bytes never do more than a coded error', () => {
    const original = written(tiny())
    const edits = fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(edits, fc.nat(original.length), fc.boolean(), (bytes, end, cut) => {
        const file = original.slice(0, cut ? end : original.length)
        for (const [at, value] of bytes) file[at] = value
        try {
          const golden = new GoldenFile(file)
          for (const name of golden.names) readRecorded(golden.case(name))
        } catch (error) {
          if (!isPolymlaError(error)) throw error
        }
      }),
      { numRuns: 10_000 },
    )
  })
})
