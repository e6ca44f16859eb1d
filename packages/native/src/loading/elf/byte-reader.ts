import { fstatSync, readSync } from 'node:fs'
import type { PolymlaError } from '@polymla/core'
import { loadFailed } from '../load-failed.js'

/** Fills `target` from `position` on; returns how many bytes it got. */
type ReadBytes = (target: Uint8Array, position: bigint) => number

/**
 * Reads ranges of a file whose content nobody vouches for. Offsets and lengths are 64 bits, as ELF has them; a range
 * that leaves the file is an error, so no number in a file can make us read elsewhere or allocate more than it holds.
 */
export class ByteReader {
  readonly path: string
  readonly size: bigint
  readonly #read: ReadBytes

  constructor(path: string, size: bigint, read: ReadBytes) {
    this.path = path
    this.size = size
    this.#read = read
  }

  /** Reads an open file; `path` is for errors. */
  static ofFile(path: string, descriptor: number): ByteReader {
    const { size } = fstatSync(descriptor, { bigint: true })
    return new ByteReader(path, size, (target, position) => readSync(descriptor, target, { position }))
  }

  /** @param what names the range in the error, e.g. `program headers`. */
  read(offset: bigint, bytes: bigint, what: string): DataView {
    if (offset < 0n || bytes < 0n || offset + bytes > this.size) {
      throw this.damaged(
        `${what} at ${offset}, ${bytes} bytes, outside of the ${this.size} bytes of the file`,
      )
    }
    const target = new Uint8Array(Number(bytes))
    for (let done = 0; done < target.length; ) {
      const got = this.#read(target.subarray(done), offset + BigInt(done))
      if (got <= 0) throw this.damaged(`a file that became shorter than ${this.size} bytes`)
      done += got
    }
    return new DataView(target.buffer)
  }

  damaged(found: string): PolymlaError {
    return loadFailed(this.path, 'a sound ELF library', found, 'Install or build the library again')
  }
}
