import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { VENDORS } from '@polymla/backend-vendor'
import { expect, test } from 'vitest'

const BUILT = fileURLToPath(new URL('../dist/main.js', import.meta.url))

function start(...argv: string[]) {
  return spawn(process.execPath, [BUILT, ...argv], {
    env: { PATH: process.env.PATH, POLYMLA_BACKENDS: 'reference' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function finished(child: ReturnType<typeof start>) {
  const closed = once(child, 'close')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await closed
  return { code, stdout, stderr }
}

test('the built command runs, and ends by itself', async () => {
  const { code, stdout, stderr } = await finished(start('decode', '--len', '64', '--json'))
  expect(stderr).toBe('warning auto chose reference, which is exact but slow\n')
  expect(JSON.parse(stdout)).toMatchObject({ status: 'passed' })
  expect(code).toBe(0)
})

test('lists every first-party backend, usable or not', async () => {
  const child = spawn(process.execPath, [BUILT, 'devices', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const { code, stdout } = await finished(child)
  const names = JSON.parse(stdout).map(({ id }: { id: string }) => id.split(':')[0])
  expect(new Set(names)).toEqual(new Set(['cpu', 'cuda', 'reference', ...VENDORS.map(({ id }) => id)]))
  expect(code).toBe(0)
})

test('the exit code of a wrong command line reaches the shell', async () => {
  const { code, stdout, stderr } = await finished(start('decode', '--devise'))
  expect(stderr).toContain('Did you mean --device?')
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
})

test('a reader that leaves early is no crash', async () => {
  const child = start('conformance', '--list', '--grid', 'full')
  child.stdout.destroy()
  const [[code], stderr] = await Promise.all([once(child, 'close'), text(child.stderr)])
  expect({ code, stderr }).toEqual({ code: 141, stderr: '' })
})

test.runIf(existsSync('/dev/full'))('a full disk is an error in words', async () => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [BUILT, 'devices'], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', full, 'pipe'],
  })
  closeSync(full)
  const [[code], stderr] = await Promise.all([once(child, 'close'), text(child.stderr as Readable)])
  expect(stderr).toMatch(/^error POLYMLA_INVALID_ARGUMENT stdout: expected .*, found ENOSPC.*\n$/)
  expect(code).toBe(1)
})

test('Ctrl-C ends a run in order', async () => {
  const child = start('bench', '--batch', '4', '--len', '8192', '--heads', '64', '--runs', '1000000')
  await once(child.stderr, 'data')
  child.kill('SIGINT')
  const { code, stdout, stderr } = await finished(child)
  expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: '', stderr: '' })
})
