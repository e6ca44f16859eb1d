import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { endianness, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { isSecureProcess } from './secure-process.js'

const folder = mkdtempSync(join(tmpdir(), 'polymla-'))
afterAll(() => rmSync(folder, { recursive: true }))

function vector(...words: number[]): string {
  const bytes = Buffer.alloc(words.length * 8)
  for (const [i, word] of words.entries()) {
    if (endianness() === 'LE') bytes.writeBigUInt64LE(BigInt(word), 8 * i)
    else bytes.writeBigUInt64BE(BigInt(word), 8 * i)
  }
  const path = join(folder, 'auxv')
  writeFileSync(path, bytes)
  return path
}

test('this process has no rights that its user has not', () => {
  expect(isSecureProcess()).toBe(false)
})

test.runIf(process.platform === 'linux')('goes by AT_SECURE of the auxiliary vector', () => {
  // AT_PAGESZ, AT_SECURE, AT_NULL
  expect(isSecureProcess(vector(6, 4096, 23, 1, 0, 0))).toBe(true)
  expect(isSecureProcess(vector(6, 4096, 23, 0, 0, 0))).toBe(false)
  // A value of 23 is no type.
  expect(isSecureProcess(vector(6, 23, 1, 0, 0, 0))).toBe(false)
  expect(isSecureProcess(vector(23))).toBe(false)
})

test.runIf(process.platform === 'linux')('a vector that is there and cannot be read means yes', () => {
  expect(isSecureProcess(folder)).toBe(true)
  expect(isSecureProcess(join(folder, 'none'))).toBe(false)
})
