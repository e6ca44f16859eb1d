// The whole proof of a port: what the ABI asks, then every op against float64. `polymla` is the command line tool.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const { library } = JSON.parse(readFileSync(new URL('../polymla.json', import.meta.url), 'utf8'))
const tool = (process.env.POLYMLA ?? 'polymla').split(' ')

test('the library conforms', () => {
  const args = [
    ...tool.slice(1),
    'conformance',
    '--library',
    library,
    '--grid',
    'standard',
    '--report',
    'build/conformance',
  ]
  const cwd = new URL('..', import.meta.url)
  const { status, stdout, stderr } = spawnSync(tool[0], args, { cwd, encoding: 'utf8' })
  assert.equal(status, 0, `${stdout}\n${stderr}`)
})
