import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteReader } from './byte-reader.js'
import { readerOf } from './reader-of.js'

test('reads what lies in the file and nothing else', () => {
  const bytes = Uint8Array.from({ length: 40 }, (_, i) => i)
  const { reader } = readerOf(bytes)
  const numbers = fc.oneof(fc.bigInt(-2n, 45n), fc.bigInt(0n, 2n ** 64n - 1n))
  fc.assert(
    fc.property(numbers, numbers, (offset, length) => {
      if (offset >= 0n && length >= 0n && offset + length <= 40n) {
        const view = reader.read(offset, length, 'header')
        expect(new Uint8Array(view.buffer)).toEqual(bytes.subarray(Number(offset), Number(offset + length)))
      } else {
        expect(() => reader.read(offset, length, 'header')).toThrow('found header at')
      }
    }),
  )
})

test('offsets beyond 2^53 are exact', () => {
  const positions: bigint[] = []
  const reader = new ByteReader('/lib/x.so', 2n ** 62n, (target, position) => {
    positions.push(position)
    return target.length
  })
  reader.read(2n ** 53n + 1n, 4n, 'header')
  expect(positions).toEqual([2n ** 53n + 1n])
})

test('puts together what the system gives in pieces', () => {
  const reader = new ByteReader('/lib/x.so', 10n, (target, position) => {
    target[0] = Number(position)
    return 1
  })
  expect(new Uint8Array(reader.read(3n, 4n, 'header').buffer)).toEqual(Uint8Array.of(3, 4, 5, 6))
})

test('a file that shrinks while it is read is an error', () => {
  const reader = new ByteReader('/lib/x.so', 10n, () => 0)
  expect(() => reader.read(0n, 4n, 'header')).toThrow(
    expect.objectContaining({
      code: 'POLYMLA_BACKEND_LOAD_FAILED',
      path: '/lib/x.so',
      found: 'a file that became shorter than 10 bytes',
    }),
  )
})
