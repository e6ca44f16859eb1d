import type { ByteReader } from './byte-reader.js'

/*
 * ELF, 64-bit, as far as it tells what a shared library is: System V ABI, chapters 4 and 5; names are those of elf(5).
 */

const PROGRAM_HEADER_BYTES = 56n
/** Notes and dynamic entries of real libraries take a few hundred bytes. */
const MOST_TABLE_BYTES = 0x10000n
/** Longest file name that the system takes (PATH_MAX). */
const MOST_NAME_BYTES = 4096n

/** Segment types, `p_type`. */
const PT_LOAD = 1
export const PT_DYNAMIC = 2
const PT_NOTE = 4

export interface ElfIdentity {
  /** 1: 32-bit, 2: 64-bit. */
  readonly class: number
  readonly littleEndian: boolean
  /** `e_type`; 3 (ET_DYN) for a shared library. */
  readonly type: number
  readonly machine: number
}

interface Segment {
  readonly type: number
  readonly offset: bigint
  readonly address: bigint
  readonly bytes: bigint
  readonly align: bigint
}

export interface ElfNote {
  readonly owner: string
  readonly type: number
  readonly words: readonly number[]
}

/** What the file is by its first 20 bytes, or null when it is not an ELF file. */
export function identifyElf(reader: ByteReader): ElfIdentity | null {
  if (reader.size < 20n) return null
  const view = reader.read(0n, 20n, 'header')
  if (view.getUint32(0) !== 0x7f454c46) return null
  const littleEndian = view.getUint8(5) !== 2
  return {
    class: view.getUint8(4),
    littleEndian,
    type: view.getUint16(16, littleEndian),
    machine: view.getUint16(18, littleEndian),
  }
}

/** The segments of a 64-bit ELF file, and what is read through them. Throws for what contradicts itself. */
export class ElfFile {
  readonly reader: ByteReader
  readonly littleEndian: boolean
  readonly #segments: readonly Segment[]

  constructor(reader: ByteReader, littleEndian: boolean) {
    this.reader = reader
    this.littleEndian = littleEndian
    const header = reader.read(0n, 64n, 'header')
    const entryBytes = header.getUint16(54, littleEndian)
    const count = header.getUint16(56, littleEndian)
    if (count > 0 && BigInt(entryBytes) !== PROGRAM_HEADER_BYTES) {
      throw reader.damaged(`program headers of ${entryBytes} bytes each`)
    }
    const offset = header.getBigUint64(32, littleEndian)
    const table = reader.read(offset, BigInt(count) * PROGRAM_HEADER_BYTES, 'program headers')
    this.#segments = Array.from({ length: count }, (_, i) => {
      const at = i * Number(PROGRAM_HEADER_BYTES)
      return {
        type: table.getUint32(at, littleEndian),
        offset: table.getBigUint64(at + 8, littleEndian),
        address: table.getBigUint64(at + 16, littleEndian),
        bytes: table.getBigUint64(at + 32, littleEndian),
        align: table.getBigUint64(at + 48, littleEndian),
      }
    })
  }

  /** Reads the first segment of a type, or as much of it as a sound file needs; null when there is none. */
  segment(type: number, what: string): DataView | null {
    const segment = this.#segments.find((each) => each.type === type)
    return segment ? this.#readSegment(segment, what) : null
  }

  #readSegment({ offset, bytes }: Segment, what: string): DataView {
    return this.reader.read(offset, bytes < MOST_TABLE_BYTES ? bytes : MOST_TABLE_BYTES, what)
  }

  /** Reads what the library has at an address of its image. */
  atAddress(address: bigint, bytes: bigint, what: string): DataView {
    const { offset, bytes: available } = this.#locate(address, what)
    if (bytes > available) throw this.reader.damaged(`${what} that is longer than its segment`)
    return this.reader.read(offset, bytes, what)
  }

  /** The NUL-terminated text at an address, of at most `most` bytes with its NUL. */
  text(address: bigint, most: bigint, what: string): string {
    const { offset, bytes: available } = this.#locate(address, what)
    const bytes = [most, available, MOST_NAME_BYTES].reduce((least, each) => (each < least ? each : least))
    const view = this.reader.read(offset, bytes < 0n ? 0n : bytes, what)
    const found = new Uint8Array(view.buffer)
    const end = found.indexOf(0)
    if (end < 0) throw this.reader.damaged(`${what} without an end`)
    return new TextDecoder().decode(found.subarray(0, end))
  }

  #locate(address: bigint, what: string): { offset: bigint; bytes: bigint } {
    for (const segment of this.#segments) {
      const into = address - segment.address
      if (segment.type !== PT_LOAD || into < 0n || into >= segment.bytes) continue
      return { offset: segment.offset + into, bytes: segment.bytes - into }
    }
    throw this.reader.damaged(`${what} at address ${address}, which no segment holds`)
  }

  /** Every note of the loaded image. A note that does not fit its segment ends the segment. */
  *notes(): Generator<ElfNote> {
    for (const segment of this.#segments) {
      if (segment.type !== PT_NOTE) continue
      const view = this.#readSegment(segment, 'notes')
      // Notes are aligned to 4 bytes, in segments of alignment 8 (GNU properties) to 8.
      const align = segment.align === 8n ? 8 : 4
      const padded = (bytes: number) => Math.ceil(bytes / align) * align
      for (let at = 0; at + 12 <= view.byteLength; ) {
        const nameBytes = view.getUint32(at, this.littleEndian)
        const descBytes = view.getUint32(at + 4, this.littleEndian)
        const desc = at + padded(12 + nameBytes)
        if (desc + descBytes > view.byteLength) break
        yield {
          owner: new TextDecoder().decode(new Uint8Array(view.buffer, at + 12, nameBytes)),
          type: view.getUint32(at + 8, this.littleEndian),
          words: Array.from({ length: Math.floor(descBytes / 4) }, (_, i) =>
            view.getUint32(desc + 4 * i, this.littleEndian),
          ),
        }
        at = desc + padded(descBytes)
      }
    }
  }
}
