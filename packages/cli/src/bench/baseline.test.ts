import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBaseline } from './baseline.js'

const timing = { us: 10, us_min: 9, us_max: 11, tflops: 1, gbps: 1 }
const dense = { kind: 'dense.bf16', b: 1, s_q: 1, s_k: 4096, h_q: 16, varlen: false, causal: false } as const
const row = { ...dense, ...timing }
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polymla-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(content: unknown): Promise<string> {
  const path = join(folder, 'baseline.json')
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

test('finds a case in a report and in a bare array', async () => {
  const rows = [
    { kind: 'ceiling.copy', us: 1 },
    { ...row, us: 29.06, gbps: 163 },
  ]
  for (const content of [{ device: 'x', rows }, rows]) {
    const baseline = await readBaseline(await file(content), null)
    expect(baseline(row)).toEqual({ baseline_us: 29.06, speedup: 2.906 })
    expect(baseline({ ...row, h_q: 32 })).toEqual({})
  }
})

test('compares with another kind when one is named', async () => {
  const baseline = await readBaseline(
    await file([
      { ...row, us: 29 },
      { ...row, kind: 'dense.fa3.bf16', us: 20 },
    ]),
    ['dense.fa3.bf16'],
  )
  expect(baseline(row)).toEqual({ baseline_us: 20, speedup: 2 })
})

test('holds a case against the fastest of several kinds, and keeps all of them', async () => {
  const rows = [
    { ...row, us: 29 },
    { ...row, kind: 'dense.fa3.bf16', us: 20 },
    { ...row, h_q: 32, us: 31 },
  ]
  const baseline = await readBaseline(await file(rows), ['dense.bf16', 'dense.fa3.bf16'])
  const baselines = { 'dense.bf16': 29, 'dense.fa3.bf16': 20 }
  expect(baseline(row)).toEqual({ baseline_us: 20, speedup: 2, baselines })
  expect(baseline({ ...row, h_q: 32 })).toEqual({
    baseline_us: 31,
    speedup: 3.1,
    baselines: { 'dense.bf16': 31 },
  })
})

test.each([
  ['{', '--baseline: expected JSON, found'],
  ['null', '--baseline: expected a file that bench --json wrote'],
  ['{"rows": [1]}', '--baseline: expected a file that bench --json wrote'],
  ['[{"kind": "dense.bf16", "us": "fast"}]', '--baseline: expected rows with a time, found none'],
])('refuses %s', async (content, message) => {
  await expect(readBaseline(await file(content), null)).rejects.toThrow(message)
})

test('refuses a file that is not there', async () => {
  await expect(readBaseline(join(folder, 'missing.json'), null)).rejects.toThrow(
    '--baseline: expected a readable file, found ENOENT',
  )
})
