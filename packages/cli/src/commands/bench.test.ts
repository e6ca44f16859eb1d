import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { measured, run } from '../run.fixtures.js'

const QUICK = ['--runs', '2', '--warmup', '0', '--flush', '1MB']
const SMALL = ['--batch', '1,2', '--len', '64', '--heads', '4', ...QUICK]
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polymla-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('measures every kind of case', async () => {
  const { code, stdout } = await run(['bench', '--grid', 'smoke', '--json', ...QUICK])
  const report = JSON.parse(stdout)
  expect(code).toBe(0)
  expect(report.device).toMatch(/^reference /)
  expect(report.skipped).toEqual([])
  const kinds = report.rows.map((row: { kind: string }) => row.kind)
  expect(new Set(kinds)).toEqual(new Set(['dense.bf16', 'sparse_decode.fp8', 'sparse_prefill.bf16']))
  for (const { us, us_min, us_max, gbps, tflops } of report.rows) {
    expect(us_min).toBeGreaterThan(0)
    expect(us).toBeGreaterThanOrEqual(us_min)
    expect(us_max).toBeGreaterThanOrEqual(us)
    expect(Math.min(gbps, tflops)).toBeGreaterThan(0)
  }
})

test('counts operations and bytes as FlashMLA does', async () => {
  const { stdout } = await run(['bench', '--json', '--batch', '2', '--len', '100', '--heads', '3', ...QUICK])
  const [row] = JSON.parse(stdout).rows
  const keys = 2 * 100
  expect(row.tflops * row.us * 1e6).toBeCloseTo(2 * 3 * keys * (576 + 512), -2)
  expect(row.gbps * row.us * 1e3).toBeCloseTo(2 * (keys * 576 + 2 * 3 * (576 + 512)), -2)
})

test('holds cases against peaks where the device measures them', async () => {
  const { stdout } = await run(['bench', ...SMALL], { backends: [measured] })
  expect(stdout).toContain('measured peaks: reading 0.001 GB/s, bf16 0.001 TFLOP/s')
  expect(stdout).toMatch(/^case +median +min +max +GB\/s +TFLOP\/s +of peak$/m)
  expect(stdout.match(/^dense\.bf16 b[12] .*\d% (memory|compute)$/gm)).toHaveLength(2)
})

test('compares with a baseline and draws both', async () => {
  const baseline = join(folder, 'before.json')
  const plot = join(folder, 'times.svg')
  const before = await run(['bench', '--json', '--commit', 'abc', ...SMALL])
  expect(JSON.parse(before.stdout).commit).toBe('abc')
  await writeFile(baseline, before.stdout)

  const { stdout } = await run(['bench', '--baseline', baseline, '--plot', plot, ...SMALL])
  expect(stdout).toMatch(/^case +median +min +max +GB\/s +TFLOP\/s +baseline +speed-up$/m)
  expect(stdout.match(/^dense\.bf16 b[12] .*\dx$/gm)).toHaveLength(2)
  expect(await readFile(plot, 'utf8')).toContain('baseline')
})

test.each(['--batch', '--query-tokens', '--len', '--heads'])(
  'refuses a %s beyond reason at once',
  async (option) => {
    const { code, stderr } = await run(['bench', option, '2147483647'])
    expect(code).toBe(2)
    expect(stderr).toMatch(new RegExp(`^error POLYMLA_INVALID_ARGUMENT ${option}: expected`, 'm'))
  },
)

test('lists what a device cannot run, and why', async () => {
  const { code, stdout } = await run(['bench', '--batch', '65536', '--len', '2000000', ...QUICK])
  expect(code).toBe(1)
  expect(stdout).toMatch(/^skipped dense\.bf16 b65536 s_q1 s_k2000000 h_q128: .*memory/m)
})
