import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { run } from '../run.fixtures.js'

const folder = mkdtempSync(join(tmpdir(), 'polymla-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('writes a port and says where', async () => {
  const where = join(folder, 'acme')
  const { code, stdout } = await run(['create-port', 'acme', '--folder', where])
  expect(code).toBe(0)
  expect(stdout).toContain(`${where}:\n`)
  expect(JSON.parse(readFileSync(join(where, 'polymla.json'), 'utf8'))).toMatchObject({ name: 'acme' })
  const again = await run(['create-port', 'acme', '--folder', where])
  expect(again).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--folder: expected one that is not there'),
  })
})

test('lists the files for a program', async () => {
  const { stdout } = await run(['create-port', 'acme', '--folder', join(folder, 'json'), '--json'])
  expect(JSON.parse(stdout)).toContain('src/library.cpp')
})

test.each([['Acme'], ['a', 'b']])('refuses the name %j %j', async (...names) => {
  const where = join(folder, 'none')
  const { code, stderr } = await run(['create-port', ...names, '--folder', where])
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('NAME: expected') })
  expect(existsSync(where)).toBe(false)
})

test('a library that is not there is a wrong command line', async () => {
  const { code, stderr } = await run(['conformance', '--library', '/nowhere/x.so'])
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('--library: expected') })
})
