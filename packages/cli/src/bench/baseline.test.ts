import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBaseline } from './baseline.js'

const row = { kind: 'dense.bf16', b: 1, s_q: 1, s_k: 4096, h_q: 16, varlen: false, causal: false }
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
  const rows = [{ kind: 'ceiling.copy', us: 1 }, { ...row, us: 29.06, gbps: 163 }]
  for (const content of [{ device: 'x', rows }, rows]) {
    const baseline = await readBaseline(await file(content), null)
    expect(baseline.find(row)).toBe(29.06)
    expect(baseline.find({ ...row, h_q: 32 })).toBeUndefined()
  }
})

test('compares with another kind when one is named', async () => {
  const baseline = await readBaseline(
    await file([
      { ...row, us: 29 },
      { ...row, kind: 'dense.fa3.bf16', us: 20 },
    ]),
    'dense.fa3.bf16',
  )
  expect(baseline.find(row)).toBe(20)
})

test.each([
  ['{', '--baseline: expected a readable JSON file'],
  ['null', '--baseline: expected a file that bench --json wrote'],
  ['{"rows": [1]}', '--baseline: expected a file that bench --json wrote'],
  ['[{"kind": "dense.bf16", "us": "fast"}]', '--baseline: expected rows with a time, found none'],
])('refuses %s', async (content, message) => {
  await expect(readBaseline(await file(content), null)).rejects.toThrow(message)
})

test('refuses a file that is not there', async () => {
  await expect(readBaseline(join(folder, 'missing.json'), null)).rejects.toThrow('--baseline: expected a readable JSON')
})
