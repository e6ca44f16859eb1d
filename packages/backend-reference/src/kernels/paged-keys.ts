import { type HostArray, hostArray, itemSize, type KvLayout, readTokens, writeToken } from '@polymla/core'
import type { View } from '../view.js'

/** A paged cache. Each page gets a view of its own: one of the whole cache could be longer than an array may be. */
export class PagedKeys {
  readonly pages: number
  readonly pageSize: number
  readonly #onePage: KvLayout
  readonly #cache: View
  readonly #descale: number

  /** @param descale an e4m3 cache stores x / descale; other formats ignore it */
  constructor(layout: KvLayout, cache: View, descale = 1) {
    this.pages = layout.pages
    this.pageSize = layout.pageSize
    this.#onePage = { ...layout, pages: 1 }
    this.#cache = cache
    this.#descale = descale
  }

  has(page: number): boolean {
    return page >= 0 && page < this.pages
  }

  /** Whether the cache has the token page · pageSize + offset. */
  hasToken(token: number): boolean {
    return token >= 0 && token < this.pages * this.pageSize
  }

  /** Dequantises `count` tokens of a page from `offset` on. */
  read(page: number, offset: number, count: number, head: number, keys: Float64Array, at: number): void {
    readTokens(this.#onePage, this.page(page), 0, offset, count, head, keys, at, this.#descale)
  }

  /** Dequantises the token page · pageSize + offset of a cache with one head. */
  readToken(token: number, keys: Float64Array, at: number): void {
    const offset = token % this.pageSize
    this.read((token - offset) / this.pageSize, offset, 1, 0, keys, at)
  }

  /** Quantises one key into the token page · pageSize + offset. */
  writeToken(token: number, head: number, key: Float64Array): void {
    const offset = token % this.pageSize
    const page = this.page((token - offset) / this.pageSize)
    writeToken(this.#onePage, page, 0, offset, head, key, 0, this.#descale)
  }

  /** The elements of a page. */
  page(page: number): HostArray {
    const { dtype, shape, strides, memory, byteOffset } = this.#cache
    const begin = byteOffset + page * strides[0] * itemSize(dtype)
    return hostArray(dtype, memory, begin, shape[1] * shape[2] * shape[3])
  }
}
