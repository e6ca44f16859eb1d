import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isPolymlaError, type PolymlaError } from '@polymla/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildTestPlugins } from '../../test-plugins/build.mjs'
import { checkElf } from './check-elf.js'
import { type LibrarySystem, thisSystem } from './dependencies.js'
import { type ExampleElf, exampleElf, thisMachine } from './elf/example-elf.js'
import { readerOf } from './elf/reader-of.js'

const bareGlibc: LibrarySystem = {
  libraryPath: '',
  executable: null,
  loaded: ['/usr/lib/libc.so.6'],
  cache: Buffer.alloc(0),
}

function refusal(bytes: Uint8Array): PolymlaError | undefined {
  try {
    checkElf(readerOf(bytes).reader, bareGlibc)
    return undefined
  } catch (error) {
    if (isPolymlaError(error)) return error
    throw error
  }
}

test('takes a library with a note of this major version and the entry', () => {
  expect(refusal(exampleElf({ needed: ['libc.so.6'] }))).toBeUndefined()
  expect(refusal(exampleElf({ version: [1, 99] }))).toBeUndefined()
})

test('leaves it to the system to find the entry where there is no symbol hash table', () => {
  expect(refusal(exampleElf({ symbol: null }))).toBeUndefined()
})

const otherMachine = thisMachine === 183 ? 62 : 183
const big = exampleElf()[5] === 2

test.each<[string, ExampleElf, expected: RegExp, found: RegExp, fix: RegExp]>([
  [
    'another machine',
    { machine: otherMachine },
    /a library for .+/,
    /built for (aarch64|x86-64)/,
    /Install or build/,
  ],
  [
    'an unknown machine',
    { machine: 0xbeef },
    /a library for .+/,
    /built for machine 48879/,
    /Install or build/,
  ],
  ['32 bits', { class: 1 }, /a 64-bit library/, /32-bit/, /Install or build/],
  ['a program', { type: 2 }, /a shared library/, /an ELF file of type 2/, /-shared/],
  ['no note', { version: null }, /ELF note/, /none/, /PMLA_ELF_NOTE/],
  ['a note of somebody else', { noteOwner: 'polymlb\0' }, /ELF note/, /none/, /PMLA_ELF_NOTE/],
  ['no entry', { symbol: 'other' }, /exported function pmla_library_v1/, /none/, /default visibility/],
  [
    'a missing library',
    { needed: ['libfoo.so.4'] },
    /libfoo\.so\.4/,
    /none of the folders/,
    /LD_LIBRARY_PATH/,
  ],
])('refuses %s and says what to do', (_, example, expected, found, fix) => {
  const error = refusal(exampleElf(example))!
  expect(error.code).toBe('POLYMLA_BACKEND_LOAD_FAILED')
  expect(error.path).toBe('/lib/x.so')
  expect(error.expected).toMatch(expected)
  expect(error.found).toMatch(found)
  expect(error.fix).toMatch(fix)
})

test('refuses the other byte order', () => {
  // The machine reads as this one's in the order that the file claims.
  const bytes = exampleElf({ order: big ? 1 : 2 })
  bytes.subarray(18, 20).reverse()
  expect(refusal(bytes)?.found).toBe(`a 64-bit ${big ? 'little' : 'big'}-endian one`)
})

test('refuses what is no ELF file', () => {
  expect(refusal(Buffer.from('# Not a shared library, however long.\n'))?.found).toBe('another kind of file')
})

test.each([
  [2, 'Update @polymla/native'],
  [0, 'Update the backend'],
])('major version %i is another contract', (major, fix) => {
  expect(refusal(exampleElf({ version: [major, 5] }))).toMatchObject({
    code: 'POLYMLA_API_VERSION',
    expected: "major version 1 of polymla's backend ABI",
    found: `version ${major}.5`,
    fix,
  })
})

test('a file cut anywhere is refused', () => {
  const bytes = exampleElf({ needed: ['libc.so.6'] })
  for (let length = 0; length < bytes.length; length++)
    expect(refusal(bytes.subarray(0, length))).toBeDefined()
})

test('any bytes are answered', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4096 }), fc.boolean(), (bytes, magic) => {
      if (magic) bytes.set(exampleElf().subarray(0, Math.min(20, bytes.length)))
      refusal(bytes)
    }),
    { numRuns: 2000 },
  )
})

/** Values that break bounds, beside those that a byte takes anyway. */
const word = fc.oneof(
  fc.bigInt(0n, 2n ** 64n - 1n),
  fc.bigInt(0n, 4096n),
  fc.constantFrom(2n ** 63n, 2n ** 53n + 1n, 2n ** 32n - 1n, 2n ** 64n - 1n),
)

/** Real libraries, where they can be built, and the C library. */
const plugins = buildTestPlugins()
const files = 'folder' in plugins ? ['noop.so', 'memory.so'].map((name) => join(plugins.folder, name)) : []
const samples = [...files, ...thisSystem().loaded.filter((file) => file.endsWith('/libc.so.6'))].map((file) =>
  readFileSync(file),
)

test('damaged libraries are answered, and little of them read', () => {
  const example = exampleElf({ needed: ['libc.so.6'], rpath: '/opt', runpath: '$ORIGIN' })
  // Damage to the headers and to the tables behind them, which these files have in their first pages.
  const places = fc.oneof(fc.nat(63), fc.nat(800), fc.nat(8192))
  fc.assert(
    fc.property(
      fc.constantFrom(example, ...samples),
      fc.array(fc.tuple(places, word, fc.constantFrom(1, 4, 8)), { minLength: 1, maxLength: 6 }),
      (sample, damages) => {
        const bytes = Buffer.from(sample)
        for (const [place, value, width] of damages) {
          if (place + width <= bytes.length) {
            const written = Buffer.alloc(8)
            written.writeBigUInt64LE(value)
            written.copy(bytes, place, 0, width)
          }
        }
        const { reader, bytesRead } = readerOf(bytes)
        try {
          checkElf(reader, bareGlibc)
        } catch (error) {
          if (!isPolymlaError(error)) throw error
        }
        expect(bytesRead()).toBeLessThan(8 * 2 ** 20)
      },
    ),
    { numRuns: 1000 },
  )
})
