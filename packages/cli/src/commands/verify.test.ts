import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import reference from '@polymla/backend-reference'
import { readSafetensors } from '@polymla/conformance'
import type { Backend, BackendDevice } from '@polymla/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fixtures } from '../files.js'
import { run } from '../run.fixtures.js'

const [dense, sparse] = fixtures()
let folder: string
let bytes: Uint8Array

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polymla-'))
  bytes = gunzipSync(await readFile(dense))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(content: Uint8Array): Promise<string> {
  const path = join(folder, 'changed.safetensors')
  await writeFile(path, content)
  return path
}

test('every case of the fixtures agrees', async () => {
  const { code, stdout } = await run(['verify', dense, sparse])
  expect(stdout).toMatch(/^bf16_h128 .* passed$/m)
  expect(stdout).toMatch(/^prefill_d576 .* passed$/m)
  expect(stdout.match(/^\d+ agree, 0 disagree, 0 skipped$/gm)).toHaveLength(2)
  expect(code).toBe(0)
})

test('a miss is named and exits with 1, in JSON too', async () => {
  const changed = bytes.slice()
  const expected = readSafetensors(changed).tensors.get('bf16_h16_mtp.out_ref')
  expected?.data.fill(0x40)
  const { code, stdout } = await run(['verify', '--json', await file(changed)])
  const [{ passed, failed, cases }] = JSON.parse(stdout)
  expect({ code, failed }).toEqual({ code: 1, failed: 1 })
  expect(passed).toBe(cases.length - 1)
  expect(cases[0]).toMatchObject({
    name: 'bf16_h16_mtp',
    status: 'failed',
    message: expect.stringContaining('out'),
  })
})

test('what the device refuses is not verified', async () => {
  const refusing: Backend = {
    ...reference(),
    open: async (info) => {
      const device = await reference().open(info)
      const supports = () => 'causal masks and others are missing'
      return new Proxy(device, {
        get: (target, name: keyof BackendDevice) => (name === 'supports' ? supports : bound(target, name)),
      })
    },
  }
  const { code, stdout } = await run(['verify', dense], { backends: [refusing] })
  expect(stdout).toContain('bf16_h128: causal masks and others are missing')
  expect(stdout).toMatch(/^0 agree, 0 disagree, \d+ skipped$/m)
  expect(code).toBe(1)
})

function bound(target: BackendDevice, name: keyof BackendDevice): unknown {
  const member: unknown = target[name]
  return typeof member === 'function' ? member.bind(target) : member
}

test('what never ends is not read', async () => {
  const { code, stderr } = await run(['verify', '/dev/zero'])
  expect(code).toBe(2)
  expect(stderr).toMatch(/^error POLYMLA_INVALID_ARGUMENT FILE: expected a readable file, found .*device/m)
})

test('a truncated file is a coded error', async () => {
  const { code, stdout, stderr } = await run(['verify', await file(bytes.subarray(0, 1000))])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^error POLYMLA_INVALID_ARGUMENT .*expected.*found/m)
})
