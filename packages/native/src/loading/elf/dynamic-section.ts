import { type ElfFile, PT_DYNAMIC } from './elf-file.js'

/** Tags of dynamic entries, `d_tag`. */
const DT_NULL = 0n
const DT_NEEDED = 1n
const DT_STRTAB = 5n
const DT_SYMTAB = 6n
const DT_STRSZ = 10n
const DT_RPATH = 15n
const DT_RUNPATH = 29n
const DT_GNU_HASH = 0x6ffffef5n

const SYMBOL_BYTES = 24n
/** Chains of real libraries have a handful of symbols. */
const LONGEST_CHAIN = 10_000

/** What a library tells the dynamic linker. */
export class DynamicSection {
  readonly #elf: ElfFile
  readonly #entries: readonly { tag: bigint; value: bigint }[]

  constructor(elf: ElfFile) {
    const view = elf.segment(PT_DYNAMIC, 'dynamic section')
    if (view === null) throw elf.reader.damaged('no dynamic section')
    const entries = []
    for (let at = 0; at + 16 <= view.byteLength; at += 16) {
      const tag = view.getBigUint64(at, elf.littleEndian)
      if (tag === DT_NULL) break
      entries.push({ tag, value: view.getBigUint64(at + 8, elf.littleEndian) })
    }
    this.#elf = elf
    this.#entries = entries
  }

  /** Names of the libraries that it is linked against. */
  get needed(): string[] {
    return this.#entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => this.#text(value))
  }

  /** Folders to search, separated by colons; undefined when not given. */
  get runpath(): string | undefined {
    return this.#optionalText(DT_RUNPATH)
  }

  /** The older form, which counts where there is no runpath. */
  get rpath(): string | undefined {
    return this.#optionalText(DT_RPATH)
  }

  /**
   * Whether the library exports a symbol, by its GNU hash table; undefined when that has no answer (none, or one that
   * no linker writes). The table: a header of four words, a Bloom filter of 64-bit words, for each bucket the index of
   * its first symbol, and per symbol its hash, with bit 0 set at the end of a bucket.
   */
  exports(name: string): boolean | undefined {
    const table = this.#value(DT_GNU_HASH)
    if (table === undefined) return undefined
    const header = this.#words(table, 4)
    const [buckets, firstSymbol, bloomWords] = header as [number, number, number]
    if (buckets === 0) return false
    const hash = gnuHash(name)
    const bucketsAt = table + 16n + 8n * BigInt(bloomWords)
    const chainsAt = bucketsAt + 4n * BigInt(buckets)
    const first = this.#words(bucketsAt + 4n * BigInt(hash % buckets), 1)[0]!
    if (first < firstSymbol) return false
    for (let symbol = first; symbol < first + LONGEST_CHAIN; symbol++) {
      const entry = this.#words(chainsAt + 4n * BigInt(symbol - firstSymbol), 1)[0]!
      if ((entry | 1) === (hash | 1) && this.#isDefined(symbol, name)) return true
      if (entry & 1) return false
    }
    return undefined
  }

  #isDefined(symbol: number, name: string): boolean {
    const at = this.#required(DT_SYMTAB, 'symbols') + SYMBOL_BYTES * BigInt(symbol)
    const entry = this.#elf.atAddress(at, SYMBOL_BYTES, 'symbol')
    const section = entry.getUint16(6, this.#elf.littleEndian)
    return section !== 0 && this.#text(BigInt(entry.getUint32(0, this.#elf.littleEndian))) === name
  }

  #words(address: bigint, count: number): number[] {
    const view = this.#elf.atAddress(address, 4n * BigInt(count), 'symbol hash table')
    return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, this.#elf.littleEndian))
  }

  #value(tag: bigint): bigint | undefined {
    return this.#entries.find((entry) => entry.tag === tag)?.value
  }

  #required(tag: bigint, what: string): bigint {
    const value = this.#value(tag)
    if (value === undefined) throw this.#elf.reader.damaged(`a dynamic section without ${what}`)
    return value
  }

  #optionalText(tag: bigint): string | undefined {
    const value = this.#value(tag)
    return value === undefined ? undefined : this.#text(value)
  }

  #text(offset: bigint): string {
    const table = this.#required(DT_STRTAB, 'a string table')
    return this.#elf.text(
      table + offset,
      this.#required(DT_STRSZ, 'the size of its strings') - offset,
      'name',
    )
  }
}

/** The hash of DT_GNU_HASH: h = 33·h + c from 5381, in 32 bits. */
function gnuHash(name: string): number {
  let hash = 5381
  for (const byte of new TextEncoder().encode(name)) hash = (Math.imul(hash, 33) + byte) >>> 0
  return hash
}
