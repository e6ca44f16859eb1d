import { expect, test } from 'vitest'
import { DynamicSection } from './dynamic-section.js'
import { ElfFile } from './elf-file.js'
import { exampleElf, exampleOffsets } from './example-elf.js'
import { readerOf } from './reader-of.js'

function dynamicOf(bytes: Buffer): DynamicSection {
  return new DynamicSection(new ElfFile(readerOf(bytes).reader, bytes[5] === 1))
}

test('reads what the library is linked against and where to look for it', () => {
  const needed = ['libfoo.so.4', 'libc.so.6']
  const both = dynamicOf(exampleElf({ needed, rpath: '/opt/a', runpath: '$ORIGIN:/opt/b' }))
  expect(both.needed).toEqual(needed)
  expect(both.rpath).toBe('/opt/a')
  expect(both.runpath).toBe('$ORIGIN:/opt/b')
  const none = dynamicOf(exampleElf())
  expect([none.needed, none.rpath, none.runpath]).toEqual([[], undefined, undefined])
})

test('finds exported symbols by their hash', () => {
  expect(dynamicOf(exampleElf()).exports('pmla_library_v1')).toBe(true)
  expect(dynamicOf(exampleElf({ symbol: 'pmla_library_v2' })).exports('pmla_library_v1')).toBe(false)
  expect(dynamicOf(exampleElf({ symbol: null })).exports('pmla_library_v1')).toBeUndefined()
})

test('a symbol that is only used here is not exported', () => {
  const bytes = exampleElf()
  bytes.fill(0, exampleOffsets.symbols + 30, exampleOffsets.symbols + 32)
  expect(dynamicOf(bytes).exports('pmla_library_v1')).toBe(false)
})

test('a symbol with the same hash and another name is not the one', () => {
  const bytes = exampleElf()
  bytes.write('x', bytes.indexOf('pmla_library_v1'))
  expect(dynamicOf(bytes).exports('pmla_library_v1')).toBe(false)
})

test('a hash table without buckets holds nothing', () => {
  const bytes = exampleElf()
  bytes.fill(0, exampleOffsets.hash, exampleOffsets.hash + 4)
  expect(dynamicOf(bytes).exports('pmla_library_v1')).toBe(false)
})

test('a chain without an end is given up', () => {
  const bytes = exampleElf()
  const chain = exampleOffsets.hash + 28
  const long = Buffer.concat([bytes, Buffer.alloc(1 << 17)])
  long.fill(0, chain, chain + 4)
  // The segment grows over the zeros, and the table moves before them.
  const lengthAt = exampleOffsets.programHeaders + 32
  if (long[5] === 1) long.writeBigUInt64LE(BigInt(long.length), lengthAt)
  else long.writeBigUInt64BE(BigInt(long.length), lengthAt)
  const table = bytes.subarray(exampleOffsets.hash, chain)
  const moved = long.length - 90_000
  table.copy(long, moved)
  const entry = exampleOffsets.dynamic + 8
  if (long[5] === 1) long.writeBigUInt64LE(BigInt(moved), entry)
  else long.writeBigUInt64BE(BigInt(moved), entry)
  expect(dynamicOf(long).exports('pmla_library_v1')).toBeUndefined()
})

test.each([
  [
    'a name outside of the strings',
    (bytes: Buffer) => bytes.fill(0xff, exampleOffsets.symbols + 24, exampleOffsets.symbols + 28),
  ],
  [
    'a bucket beyond the file',
    (bytes: Buffer) => bytes.fill(0x7f, exampleOffsets.hash + 24, exampleOffsets.hash + 28),
  ],
  [
    'a hash table beyond the file',
    (bytes: Buffer) => bytes.fill(0x7f, exampleOffsets.dynamic + 8, exampleOffsets.dynamic + 16),
  ],
])('%s is damage', (_, damage) => {
  const bytes = exampleElf()
  damage(bytes)
  expect(() => dynamicOf(bytes).exports('pmla_library_v1')).toThrow('expected a sound ELF library')
})

test('without a dynamic section it is no library', () => {
  const bytes = exampleElf()
  bytes.fill(0, exampleOffsets.programHeaders + 112, exampleOffsets.programHeaders + 116)
  expect(() => dynamicOf(bytes)).toThrow('found no dynamic section')
})
