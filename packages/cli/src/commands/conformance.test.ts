import reference from '@polymla/backend-reference'
import { faultyBackend, listCases } from '@polymla/conformance'
import type { Backend } from '@polymla/core'
import { expect, test } from 'vitest'
import { run } from '../run.fixtures.js'

test('runs the cases that the filter leaves', async () => {
  const { code, stdout } = await run(['conformance', '--filter', 'merge', '--json'])
  const report = JSON.parse(stdout)
  expect(report).toMatchObject({ device: { id: 'reference' }, grid: 'smoke', failed: 0 })
  expect(report.passed).toBe(listCases('smoke').filter((name) => name.includes('merge')).length)
  expect(code).toBe(0)
})

test('shards share the cases out', async () => {
  const list = async (...more: string[]) => {
    const { stdout } = await run(['conformance', '--list', '--json', '--filter', 'copy', ...more])
    return JSON.parse(stdout)
  }
  const shards = [await list('--shard', '1/3'), await list('--shard', '2/3'), await list('--shard', '3/3')]
  expect(shards.flat().sort()).toEqual((await list()).sort())
  const sizes = shards.map(({ length }) => length)
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
  const report = JSON.parse(
    (await run(['conformance', '--filter', 'copy', '--shard', '2/3', '--json'])).stdout,
  )
  expect(report.cases.map(({ name }: { name: string }) => name)).toEqual(shards[1])
})

test('checks several devices', async () => {
  const named = (name: string, backend: Backend): Backend => ({
    ...backend,
    name,
    probe: async () => (await backend.probe()).map((info) => ({ ...info, id: name })),
  })
  const backends = [reference(), named('wrong', faultyBackend(reference(), 'empty parts merged'))]
  const merge = ['conformance', '--filter', 'merge', '--device']
  const { code, stdout } = await run([...merge, 'reference,wrong', '--json'], { backends })
  const reports = JSON.parse(stdout)
  expect(reports).toMatchObject([{ device: { id: 'reference' }, failed: 0 }, { device: { id: 'wrong' } }])
  expect(reports[1].failed).toBeGreaterThan(0)
  expect(code).toBe(1)
  const text = (await run([...merge, 'reference,wrong'], { backends })).stdout
  expect(text).toMatch(/^reference .*\n\d+ passed, 0 failed.*\nwrong .*\nfailed /m)
  expect((await run([...merge, 'reference,reference'])).stderr).toContain('reference twice')
  expect((await run([...merge, '0,1', '--library', 'none.so'])).stderr).toContain('one index')
})

test.each(['0/2', '3/2', '1', '1/0', '-1/2', 'a/b'])('refuses the shard %s', async (shard) => {
  const { code, stderr } = await run(['conformance', `--shard=${shard}`])
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--shard: expected a share'),
  })
})

test('names what failed and exits with 1', async () => {
  const backends = [faultyBackend(reference(), 'empty parts merged')]
  const { code, stdout } = await run(['conformance', '--filter', 'merge'], { backends })
  expect(stdout).toMatch(/^failed merge/m)
  expect(stdout).toMatch(/^\d+ passed, [1-9]\d* failed/m)
  expect(code).toBe(1)
})

test('exits with 1 when the device refused everything', async () => {
  const inner = reference()
  const refusing: Backend = {
    ...inner,
    async open(info) {
      const device = await inner.open(info)
      device.supports = () => 'nothing is supported'
      return device
    },
  }
  const { code, stdout } = await run(['conformance', '--filter', 'merge'], { backends: [refusing] })
  expect(stdout).toMatch(/^skipped 5 cases: nothing is supported$/m)
  expect(code).toBe(1)
})

test('sums up', async () => {
  const { stdout } = await run(['conformance', '--filter', 'merge', '--seed', '3'])
  expect(stdout).toMatch(/^reference \(.*\), grid smoke, seed 3$/m)
  expect(stdout).toMatch(/^\d+ passed, 0 failed, 0 skipped in .*; slowest .*merge/m)
})

test('shows progress on a terminal only, on stderr', async () => {
  const onTerminal = await run(['conformance', '--filter', 'merge', '--json'], { terminal: true })
  expect(onTerminal.stderr).toContain('█')
  expect(() => JSON.parse(onTerminal.stdout)).not.toThrow()
  const piped = await run(['conformance', '--filter', 'merge', '--json', '--device', 'reference'])
  expect(piped.stderr).toBe('')
})

test('lists cases without a device', async () => {
  const { code, stdout } = await run(['conformance', '--list', '--grid', 'standard'], { backends: [] })
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${listCases('standard').join('\n')}\n` })
})

test('an interrupt ends it', async () => {
  const ran = await run(['conformance'], { signal: AbortSignal.abort() })
  expect(ran).toMatchObject({ code: 130, stdout: '' })
})
