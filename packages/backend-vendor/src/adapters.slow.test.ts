import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runConformance } from '@polymla/conformance'
import { runAbiSuite } from '@polymla/native'
import { beforeAll, describe, expect, it } from 'vitest'
import { vendorBackend } from './backends.js'
import { makeFolder, notRunnable, suite } from './ports.fixtures.js'

const sources = fileURLToPath(new URL('../port-kit/adapters', import.meta.url))
const folder = makeFolder()
const libraryOf = (name: string) => join(folder, `lib/libpolymla_${name}.so`)

/** Those whose time does not grow with the mocks' float loops. */
const CHECKS = [
  'table',
  'devices',
  'errors',
  'sizes',
  'enums',
  'fit',
  'transfers',
  'launches',
  'guard-pages',
  'exit',
]

describe.skipIf(notRunnable)(suite('an adapter over a mock of a vendor library'), () => {
  beforeAll(() => {
    execFileSync('cmake', ['-S', sources, '-B', folder, '-DCMAKE_BUILD_TYPE=Release'], { stdio: 'pipe' })
    execFileSync('cmake', ['--build', folder], { stdio: 'pipe' })
  }, 300_000)

  it.each([
    ['metax', 'cache.format: only bf16 and fp16', ['bf16', 'fp16']],
    ['musa', 'cache.format: this fork is built for bf16 alone', ['bf16']],
    ['mate', 'page_size: pages of 64 tokens alone', ['bf16', 'fp16']],
    ['hip', 'heads: there are kernels for 16 and 128 alone', ['bf16']],
    ['tyllm', 'heads, page_size: multiples of 16 and pages of 64 alone are compiled', ['bf16']],
    ['dcu', 'page_size: pages of 64 tokens alone', ['bf16', 'e4m3', 'fp16']],
    ['corex', 'query_tokens: one per request alone', ['bf16']],
  ])('%s decodes as float64 does, and says what it lacks', async (name, reason, done) => {
    const backend = vendorBackend({ path: libraryOf(name) })
    const report = await runConformance({ backend, grid: 'smoke', filter: 'dense' })
    // Queries whose tokens lie apart: few libraries take them as they are.
    const strided = await runConformance({ backend, grid: 'standard', filter: /^dense\/.*-strided$/ })
    const cases = [...report.cases, ...strided.cases]
    expect(cases.filter(({ status }) => status === 'failed')).toEqual([])
    expect(strided.passed).toBeGreaterThan(0)
    const formats = report.cases.flatMap(({ name, status }) =>
      status === 'passed' ? name.split('/')[1] : [],
    )
    expect([...new Set(formats)].toSorted()).toEqual(done)
    expect(report.skipReasons.map((skip) => skip.reason)).toContain(reason)
  })

  it.each(['metax', 'musa', 'mate', 'hip', 'tyllm', 'dcu', 'corex'])('%s keeps to the ABI', async (name) => {
    for (const filter of CHECKS) {
      const { checks } = await runAbiSuite({ library: libraryOf(name), filter })
      expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
    }
  })
})
