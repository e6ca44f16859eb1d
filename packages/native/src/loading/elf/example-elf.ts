import { endianness } from 'node:os'

/** Machine of this process, by the number that ELF gives it. */
export const thisMachine = { x64: 62, arm64: 183, riscv64: 243, s390x: 22, ppc64: 21, loong64: 258 }[
  process.arch as string
]!

export interface ExampleElf {
  readonly machine?: number
  readonly type?: number
  /** Class and byte order, bytes 4 and 5 of the file; those of this process when not given. */
  readonly class?: number
  readonly order?: number
  /** ABI version in the note; null for no note. */
  readonly version?: readonly [number, number] | null
  readonly noteOwner?: string
  /** What the library exports; null for no symbol hash table. */
  readonly symbol?: string | null
  readonly needed?: readonly string[]
  readonly rpath?: string
  readonly runpath?: string
}

/** Offsets in an example, for tests that damage it. */
export const exampleOffsets = {
  programHeaders: 64,
  note: 232,
  hash: 264,
  symbols: 320,
  dynamic: 384,
} as const

/**
 * A shared library as small as the loader believes it: one PT_LOAD that maps the file to address 0, a PT_NOTE, a
 * PT_DYNAMIC, and the tables that these name. Executes nothing, for there is nothing in it.
 */
export function exampleElf(example: ExampleElf = {}): Buffer {
  const { note, hash, symbols, dynamic, programHeaders } = exampleOffsets
  const little = endianness() === 'LE'
  const symbol = example.symbol === undefined ? 'pmla_library_v1' : example.symbol
  let strings = '\0'
  const text = (value: string) => {
    strings += `${value}\0`
    return strings.length - value.length - 1
  }
  const name = text(symbol ?? '')
  const entries: [tag: number, value: number][] = (example.needed ?? []).map((each) => [1, text(each)])
  if (example.rpath !== undefined) entries.push([15, text(example.rpath)])
  if (example.runpath !== undefined) entries.push([29, text(example.runpath)])
  if (symbol !== null) entries.push([0x6ffffef5, hash])
  const stringsAt = dynamic + 16 * (entries.length + 4)
  entries.push([5, stringsAt], [6, symbols], [10, strings.length], [0, 0])

  const bytes = Buffer.alloc(stringsAt + strings.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const words = (at: number, values: readonly number[]) => {
    for (const [i, value] of values.entries()) view.setUint32(at + 4 * i, value, little)
  }
  const doubleWords = (at: number, values: readonly number[]) => {
    for (const [i, value] of values.entries()) view.setBigUint64(at + 8 * i, BigInt(value), little)
  }
  bytes.write('\x7fELF', 'latin1')
  bytes.set([example.class ?? 2, example.order ?? (little ? 1 : 2), 1], 4)
  view.setUint16(16, example.type ?? 3, little)
  view.setUint16(18, example.machine ?? thisMachine, little)
  doubleWords(32, [programHeaders])
  view.setUint16(54, 56, little)
  view.setUint16(56, 3, little)
  const segment = (i: number, type: number, at: number, length: number) => {
    words(programHeaders + 56 * i, [type])
    doubleWords(programHeaders + 56 * i + 8, [at, at, at, length, length, type === 1 ? 4096 : 4])
  }
  segment(0, 1, 0, bytes.length)
  segment(1, 4, note, example.version === null ? 0 : 28)
  segment(2, 2, dynamic, 16 * entries.length)
  words(note, [8, 8, 1])
  bytes.write(example.noteOwner ?? 'polymla\0', note + 12)
  words(note + 20, example.version ?? [1, 0])
  // One bucket, whose only symbol has index 1; one word of Bloom filter that lets all through.
  words(hash, [1, 1, 1, 0, 0xffffffff, 0xffffffff, 1, gnuHash(symbol ?? '') | 1])
  words(symbols + 24, [name])
  bytes[symbols + 28] = 0x12 // global function
  view.setUint16(symbols + 30, 1, little)
  for (const [i, entry] of entries.entries()) doubleWords(dynamic + 16 * i, entry)
  bytes.write(strings, stringsAt, 'latin1')
  return bytes
}

function gnuHash(name: string): number {
  return [...name].reduce((hash, letter) => (Math.imul(hash, 33) + letter.charCodeAt(0)) >>> 0, 5381)
}
