import { type HostArray, type KvLayout, readToken } from '@polymla/core'

interface Cache {
  readonly layout: KvLayout
  readonly storage: HostArray
}

/**
 * The keys of one or more caches as numbers, decoded when first asked for. Single precision holds them exactly where
 * scales are powers of two; else it rounds at 2^-24.
 */
export class KeyStore {
  /** Row-major, rows of headDim, in the order of {@link rowOf}. */
  readonly values: Float32Array
  readonly #caches: readonly Cache[]
  readonly #firstRow: readonly number[]
  readonly #decoded: Uint8Array
  readonly #scale: number

  /** @param scale dequantisation factor of e4m3 caches */
  constructor(caches: readonly Cache[], scale: number) {
    let rows = 0
    this.#firstRow = caches.map(({ layout }) => {
      const first = rows
      rows += layout.pages * layout.pageSize * layout.headsKv
      return first
    })
    this.#caches = caches
    this.#scale = scale
    this.#decoded = new Uint8Array(rows)
    this.values = new Float32Array(rows * caches[0].layout.headDim)
  }

  /** The row of `values` that holds a token, which is page · pageSize + offset, of one KV head of a cache. */
  rowOf(cache: number, token: number, head: number): number {
    const { layout, storage } = this.#caches[cache]
    const { pageSize, headsKv, headDim } = layout
    const row = this.#firstRow[cache] + token * headsKv + head
    if (this.#decoded[row] === 0) {
      const [page, offset] = [Math.floor(token / pageSize), token % pageSize]
      readToken(layout, storage, page, offset, head, this.values, row * headDim, this.#scale)
      this.#decoded[row] = 1
    }
    return row
  }
}
