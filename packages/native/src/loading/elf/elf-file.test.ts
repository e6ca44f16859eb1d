import { expect, test } from 'vitest'
import { ElfFile, identifyElf, PT_DYNAMIC } from './elf-file.js'
import { type ExampleElf, exampleElf, exampleOffsets, thisMachine } from './example-elf.js'
import { readerOf } from './reader-of.js'

const little = exampleElf()[5] === 1

function elfOf(bytes: Buffer): ElfFile {
  return new ElfFile(readerOf(bytes).reader, little)
}

function patched(offset: number, value: bigint, example: ExampleElf = {}): Buffer {
  const bytes = exampleElf(example)
  if (little) bytes.writeBigUInt64LE(value, offset)
  else bytes.writeBigUInt64BE(value, offset)
  return bytes
}

test('identifies class, byte order, type and machine', () => {
  expect(identifyElf(readerOf(exampleElf()).reader)).toEqual({
    class: 2,
    littleEndian: little,
    type: 3,
    machine: thisMachine,
  })
  expect(identifyElf(readerOf(exampleElf({ class: 1, type: 2 })).reader)).toMatchObject({ class: 1, type: 2 })
})

test('what does not begin with the magic number, or is too short for it, is no ELF file', () => {
  expect(identifyElf(readerOf(Buffer.from('#!/bin/sh\necho hello world\n')).reader)).toBeNull()
  expect(identifyElf(readerOf(exampleElf().subarray(0, 19)).reader)).toBeNull()
  expect(identifyElf(readerOf(Buffer.alloc(0)).reader)).toBeNull()
})

test('finds segments by type', () => {
  const elf = elfOf(exampleElf())
  expect(elf.segment(PT_DYNAMIC, 'dynamic section')?.byteLength).toBe(80)
  const interpreter = 3
  expect(elf.segment(interpreter, 'interpreter')).toBeNull()
})

test('program headers of another size than that of the standard are damage', () => {
  const bytes = exampleElf()
  bytes.fill(0, 54, 56)
  expect(() => elfOf(bytes)).toThrow('program headers of 0 bytes each')
})

test.each([2n ** 53n + 1n, 2n ** 64n - 1n])('program headers at %s are outside of the file', (offset) => {
  expect(() => elfOf(patched(32, offset))).toThrow(`program headers at ${offset}, 168 bytes, outside of`)
})

test('a segment of any claimed length is read up to a limit', () => {
  const lengthAt = exampleOffsets.programHeaders + 2 * 56 + 32
  const { reader, bytesRead } = readerOf(Buffer.concat([patched(lengthAt, 2n ** 63n), Buffer.alloc(2 ** 20)]))
  expect(new ElfFile(reader, little).segment(PT_DYNAMIC, 'dynamic section')?.byteLength).toBe(65536)
  expect(bytesRead()).toBeLessThan(70_000)
})

test('an address is read through the segment that holds it', () => {
  const bytes = exampleElf()
  const elf = elfOf(bytes)
  expect(elf.atAddress(1n, 3n, 'text').getUint8(2)).toBe(bytes[3])
  expect(elf.text(1n, 40n, 'text')).toBe('ELF\x02'.concat(little ? '\x01' : '\x02', '\x01'))
  expect(() => elf.atAddress(BigInt(bytes.length), 1n, 'symbol')).toThrow(
    `symbol at address ${bytes.length}, which no segment holds`,
  )
  expect(() => elf.atAddress(4n, BigInt(bytes.length), 'symbol')).toThrow('longer than its segment')
  expect(() => elf.text(1n, 3n, 'name')).toThrow('name without an end')
})

test('reads owner, type and words of notes', () => {
  expect([...elfOf(exampleElf({ version: [3, 4] })).notes()]).toEqual([
    { owner: 'polymla\0', type: 1, words: [3, 4] },
  ])
})

test.runIf(little).each([4n, 8n])('skips other notes in segments of alignment %s', (align) => {
  const padded = (length: number) => Math.ceil(length / Number(align)) * Number(align)
  const noteOf = (owner: string, desc: Buffer) => {
    const descAt = padded(12 + owner.length)
    const bytes = Buffer.alloc(descAt + padded(desc.length))
    bytes.writeUInt32LE(owner.length, 0)
    bytes.writeUInt32LE(desc.length, 4)
    bytes.write(owner, 12)
    desc.copy(bytes, descAt)
    return bytes
  }
  const example = exampleElf()
  const notes = Buffer.concat([noteOf('GNU\0', Buffer.of(5)), noteOf('polymla\0', Buffer.of(1, 0, 0, 0))])
  const bytes = Buffer.concat([example, notes])
  const segment = exampleOffsets.programHeaders + 56
  bytes.writeBigUInt64LE(BigInt(example.length), segment + 8)
  bytes.writeBigUInt64LE(BigInt(notes.length), segment + 32)
  bytes.writeBigUInt64LE(align, segment + 48)
  expect([...elfOf(bytes).notes()].map(({ owner, words }) => [owner, ...words])).toEqual([
    ['GNU\0'],
    ['polymla\0', 1],
  ])
})

test('a note that claims more than its segment ends the notes', () => {
  const bytes = exampleElf()
  bytes.fill(0xff, exampleOffsets.note, exampleOffsets.note + 8)
  expect([...elfOf(bytes).notes()]).toEqual([])
})
