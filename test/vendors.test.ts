import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { VENDORS } from '@polymla/backend-vendor'
import { listCases } from '@polymla/conformance'
import { describe, expect, it } from 'vitest'
import { pageWith, readEvidence, statusOf, tableOf } from '../packages/backend-vendor/scripts/port-status.mjs'
import { type Page, ROOT, readPages, tableUnder } from './markdown.js'

const pages = readPages()
const page = (path: string) => pages.find((known) => known.path === path) as Page
const namesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
const header = readFileSync(join(ROOT, 'packages/native/include/polymla_backend.h'), 'utf8')

const evidence = readEvidence()

describe('the status of ports', () => {
  it('is on the page as builds and reports have it', () => {
    const { text } = page('docs/vendors.md')
    expect(text).toBe(pageWith(text, tableOf(statusOf(evidence))))
  })

  it('has every vendor', () => {
    const vendors = new Set(statusOf(evidence).map(({ vendor }) => vendor))
    expect([...vendors].toSorted()).toEqual(['cuda', ...VENDORS.map(({ id }) => id)].toSorted())
  })

  it('claims nothing without a build, a report or an adapter', () => {
    for (const { compiled, emulated, run, adapter } of statusOf({ builds: [], runs: [], adapters: [] })) {
      expect({ compiled, emulated, run, adapter }).toEqual({
        compiled: 'never',
        emulated: 'never',
        run: 'never',
        adapter: 'none',
      })
    }
  })

  const build = {
    library: 'hip',
    dialect: 'HIP',
    compiler: 'hipcc 5.2',
    standIn: false,
    units: ['MFMA'],
    architectures: ['gfx90a'],
    kernels: ['append-kv', 'attend-bf16'],
    missing: ['attend-f32'],
  }
  const ran = { vendor: 'hip', file: 'x.json', name: 'X', grid: 'full', failed: 0 }
  const of = (op: string, builds: object[], runs: object[]) =>
    statusOf({ builds, runs, adapters: [] }).find((row) => row.vendor === 'hip' && row.op === op)

  it.each([
    ['an op whose kernels are all there is compiled', 'appendKv', 'hipcc 5.2: gfx90a'],
    ['an op that lacks one of its kernels is not', 'decode', 'never'],
    ['an op without a kernel is not', 'mergeStates', 'never'],
  ])('%s', (_, op, compiled) => {
    expect(of(op, [build], [])).toMatchObject({ compiled })
  })

  it('has the matrix unit of ops that multiply', () => {
    const whole = { ...build, missing: [] }
    expect(of('decode', [whole], [])).toMatchObject({ compiled: 'hipcc 5.2: gfx90a (MFMA)' })
    expect(of('appendKv', [whole], [])).toMatchObject({ compiled: 'hipcc 5.2: gfx90a' })
  })

  it('has the emulated matrix unit of its vendor', () => {
    const run = (vendor: string) => ({
      vendor,
      arch: 'wave32',
      failed: 0,
      ops: { decode: { passed: 1, failed: 0 }, copyPages: { passed: 1, failed: 0 } },
    })
    const emulated = (vendor: string, op: string) =>
      statusOf({ builds: [], runs: [run('emu'), run('sqmma')], adapters: [] }).find(
        (row) => row.vendor === vendor && row.op === op,
      )?.emulated
    expect(emulated('musa', 'decode')).toBe('waves of 32; SQMMA')
    expect(emulated('musa', 'copyPages')).toBe('waves of 32')
    expect(emulated('hip', 'decode')).toBe('waves of 32')
  })

  it.each([
    ['cases that passed are a run', { copyPages: { passed: 3, failed: 0 } }, /^\[X, full\]/],
    ['cases that were all skipped are none', { copyPages: { passed: 0, failed: 0 } }, /^never$/],
    ['an op with a failure is none', { copyPages: { passed: 3, failed: 1 } }, /^never$/],
    ['an op without cases is none', {}, /^never$/],
  ])('%s', (_, ops, run) => {
    expect(of('copyPages', [], [{ ...ran, ops }])).toMatchObject({ run: expect.stringMatching(run) })
  })

  it('says which of it is of earlier sources', () => {
    const ops = { copyPages: { passed: 3, failed: 0 } }
    const kernels = ['copy-pages']
    const row = (sources: string) =>
      statusOf({
        builds: [{ ...build, kernels, missing: [], sources: 'then' }],
        runs: [
          { ...ran, ops, sources: 'then' },
          { vendor: 'emu', arch: 'wave32', failed: 0, ops, sources: 'now' },
          { vendor: 'emu', arch: 'wave64', failed: 0, ops, sources: 'then' },
        ],
        adapters: [],
        sources,
      }).find(({ vendor, op }) => vendor === 'hip' && op === 'copyPages')
    expect(row('now')).toMatchObject({
      compiled: 'hipcc 5.2: gfx90a, of earlier sources',
      emulated: 'waves of 32, 64, of earlier sources',
      run: expect.stringMatching(/, of earlier sources$/),
    })
    expect(row('then')).toMatchObject({
      compiled: 'hipcc 5.2: gfx90a',
      run: expect.stringMatching(/x\.json\)$/),
    })
  })

  it('has reports of conformance behind it, of whole grids', () => {
    const all = listCases('standard').length
    for (const { file, grid, passed, failed, skipped } of evidence.runs) {
      expect({ file, failed }).toEqual({ file, failed: 0 })
      if (grid === 'standard') expect({ file, cases: passed + skipped }).toEqual({ file, cases: all })
    }
  })
})

it('the ABI page has every member of the table and every status', () => {
  const table = header.slice(header.indexOf('/* ---- The library'), header.indexOf('} pmla_library;'))
  const members = [...table.matchAll(/\(\*(\w+)\)\(/g)]
    .map(([, name]) => name)
    .filter((name) => name !== 'notify')
  expect(tableUnder(page('docs/abi.md'), 'The table').flatMap(([cell]) => namesIn(cell))).toEqual(members)
  const statuses = header.slice(
    header.indexOf('typedef int32_t pmla_status;'),
    header.indexOf('typedef struct {'),
  )
  const names = [...statuses.matchAll(/(PMLA_\w+) = \d+/g)].map(([, name]) => name)
  expect(tableUnder(page('docs/abi.md'), 'Statuses').flatMap(([cell]) => namesIn(cell))).toEqual(names)
})

it('the table of vendors is that of the code', () => {
  const rows = tableUnder(page('packages/backend-vendor/README.md'), '@polymla/backend-vendor')
  const vendors = VENDORS.map(({ id, devices, toolkit }) => [`\`${id}\``, devices, toolkit])
  expect(rows.map((row) => row.map((cell) => cell.trim()))).toEqual(vendors)
})

it('the speed of the portable kernels is as measured', () => {
  const file = join(ROOT, 'bench/results/h200-portable-2026-11-28.json')
  const { rows } = JSON.parse(readFileSync(file, 'utf8')) as {
    rows: { b: number; s_q: number; h_q: number; speedup: number }[]
  }
  const kindOf = ({ b, s_q, h_q }: (typeof rows)[number]) =>
    b <= 16 ? 'small' : s_q * h_q <= 64 ? 'memory-bound' : 'compute-bound'
  const table = tableUnder(page('packages/backend-vendor/native/README.md'), 'Speed')
  expect(table.map(([problems]) => problems.split(':')[0])).toEqual([
    'memory-bound',
    'compute-bound',
    'small',
  ])
  for (const [problems, mean, least, most, below] of table) {
    const kind = problems.split(':')[0]
    const shares = rows.filter((row) => kindOf(row) === kind).map(({ speedup }) => speedup)
    const geomean = Math.exp(shares.reduce((sum, share) => sum + Math.log(share), 0) / shares.length)
    const aim = { 'memory-bound': 0.6, 'compute-bound': 0.4 }[kind] ?? 0
    expect({ kind, problems, mean, least, most }).toEqual({
      kind,
      problems: expect.stringContaining(`(${shares.length})`),
      mean: geomean.toFixed(2),
      least: Math.min(...shares).toFixed(2),
      most: Math.max(...shares).toFixed(2),
    })
    const said = [...below.matchAll(/: (0\.\d+)/g)].map(([, share]) => share)
    const slow = shares.filter((share) => share < aim)
    const digits = aim === 0.4 ? 3 : 2
    expect(said).toEqual(slow.toSorted((a, b) => b - a).map((share) => share.toFixed(digits)))
  }
})
