import type { HostArray, KvLayout } from '@polymla/core'
import { aligned, heap, kernels, TABLES } from './kernels.js'

/** A cache, or anything that lies in memory as one. */
export interface Keys {
  readonly layout: KvLayout
  readonly storage: HostArray
}

/** Of a token in the formats with scales of their own: its bytes, those of its e4m3 part and of a scale's group, where rope begins. */
const PACKED = {
  'fp8-656': { token: 656, latent: 512, group: 128, rope: 528 },
  'fp8-584': { token: 576, latent: 448, group: 64, rope: 448 },
} as const

/** Values of the codes of e8m0. */
const E8M0 = Float64Array.from({ length: 256 }, (_, code) => (code === 255 ? Number.NaN : 2 ** (code - 127)))

/**
 * The keys of caches, in the kernels' memory. Single precision holds them exactly where scales are powers of two; else it
 * rounds at 2^-24.
 */
export class KeyReader {
  readonly headDim: number
  /** Bytes that {@link place} needs. */
  readonly bytes: number
  readonly #keys: readonly Keys[]
  readonly #firstRow: readonly number[]
  readonly #scale: number
  #places: readonly number[] = []

  /** @param scale dequantisation factor of e4m3 caches */
  constructor(keys: readonly Keys[], scale: number) {
    let rows = 0
    this.#firstRow = keys.map(({ layout }) => {
      const first = rows
      rows += layout.pages * layout.pageSize * layout.headsKv
      return first
    })
    this.headDim = keys[0].layout.headDim
    this.bytes = keys.reduce((sum, { storage }) => sum + aligned(storage.byteLength), 0)
    this.#keys = keys
    this.#scale = scale
  }

  /** Numbers the keys of all caches: a token is page · pageSize + offset. */
  rowOf(cache: number, token: number, head: number): number {
    return this.#firstRow[cache] + token * this.#keys[cache].layout.headsKv + head
  }

  /** Copies the caches to the kernels' memory, from an aligned address on. */
  place(address: number): void {
    this.#places = this.#keys.map(({ storage }) => {
      const at = address
      heap.u8.set(new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength), at)
      address += aligned(storage.byteLength)
      return at
    })
  }

  /** Writes the numbers of a row to the address `to`, as float32. */
  read(row: number, to: number): void {
    const cache = this.#firstRow.length > 1 && row >= this.#firstRow[1] ? 1 : 0
    const { format, pageSize, headsKv, headDim, pageStride } = this.#keys[cache].layout
    const key = row - this.#firstRow[cache]
    const token = Math.floor(key / headsKv)
    const offset = token % pageSize
    const page = Math.floor(token / pageSize) * pageStride
    const number = page + (offset * headsKv + (key % headsKv)) * headDim
    const place = this.#places[cache]
    switch (format) {
      case 'fp8-656':
      case 'fp8-584':
        readPacked(format, place + page, pageSize, offset, to)
        break
      case 'bf16':
        kernels.widen(place + 2 * number, headDim, to)
        break
      case 'fp16':
        kernels.lookUp16(place + 2 * number, headDim, TABLES.f16, to)
        break
      case 'f32':
        heap.u8.copyWithin(to, place + 4 * number, place + 4 * (number + headDim))
        break
      case 'e4m3':
        kernels.lookUp8(place + number, headDim, TABLES.e4m3, this.#scale, to)
        break
    }
  }
}

function readPacked(
  format: keyof typeof PACKED,
  page: number,
  pageSize: number,
  offset: number,
  to: number,
): void {
  const { token, latent, group, rope } = PACKED[format]
  const at = page + offset * token
  for (let from = 0; from < latent; from += group) {
    const scale =
      format === 'fp8-656'
        ? heap.view.getFloat32(at + latent + (4 * from) / group, true)
        : E8M0[heap.u8[page + pageSize * token + 8 * offset + from / group]]
    kernels.lookUp8(at + from, group, TABLES.e4m3, scale, to + 4 * from)
  }
  kernels.widen(at + rope, 64, to + 4 * latent)
}
