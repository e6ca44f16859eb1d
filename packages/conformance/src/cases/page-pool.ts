import type { HostArray, KvLayout } from '@polymla/core'
import type { Random } from '../random.js'
import { fillTokens, poisonedStorage } from './host-cache.js'

/** What unused entries of a block table hold in FlashMLA's tests: an id that no cache has. */
const UNUSED_PAGE = 2147480000
/** Ids that are in no cache. */
const NO_PAGE = [-1, -2147483648, 2147483647, UNUSED_PAGE] as const
/** Distinct full pages take at most this; beyond it requests share them, as prefixes are shared. */
const POOL_BYTES = 2 ** 28

/** Which page holds which part of which request. */
export interface PagePlan {
  /** Pages of the cache, unused ones included. */
  readonly pages: number
  readonly width: number
  /** [batch, width] */
  readonly blockTable: Int32Array
  /** Tokens to fill per page; 0 for pages that nobody uses. */
  readonly filled: Int32Array
}

/** Lays requests out over pages in random order, with unused pages in between and garbage past every length. */
export function planPages(
  random: Random,
  lengths: Int32Array,
  pageSize: number,
  pageBytes: number,
  hostile: boolean,
): PagePlan {
  const pagesOf = Array.from(lengths, (length) => Math.ceil(length / pageSize))
  const tails = lengths.filter((length) => length % pageSize !== 0).length
  const full = pagesOf.reduce((a, b) => a + b, 0) - tails
  const distinct = Math.min(full, Math.max(Math.floor(POOL_BYTES / pageBytes), 1))
  const pages = distinct + tails + 2 + Math.floor(distinct / 16)
  const ids = random.permutation(pages)
  const filled = new Int32Array(pages)
  for (let i = 0; i < distinct; i++) filled[ids[i]] = pageSize

  const width = Math.max(...pagesOf, 0) + random.integer(0, 2)
  const blockTable = new Int32Array(lengths.length * width)
  let nextFull = 0
  let nextTail = distinct
  lengths.forEach((length, request) => {
    for (let i = 0; i < width; i++) {
      const at = request * width + i
      if (i >= pagesOf[request]) blockTable[at] = random.chance(0.5) ? UNUSED_PAGE : random.pick(NO_PAGE)
      else if ((i + 1) * pageSize <= length) blockTable[at] = ids[nextFull++ % distinct]
      else {
        blockTable[at] = ids[nextTail++]
        filled[blockTable[at]] = length - i * pageSize
      }
      if (hostile && random.chance(0.3)) blockTable[at] = random.chance(0.5) ? random.pick(NO_PAGE) : pages
    }
  })
  return { pages, width, blockTable, filled }
}

/** The cache: random keys where the plan has tokens, NaN everywhere else. */
export function fillPages(random: Random, layout: KvLayout, filled: Int32Array): HostArray {
  const storage = poisonedStorage(layout)
  filled.forEach((count, page) => {
    if (count > 0) fillTokens(random, layout, storage, page, 0, count)
  })
  return storage
}
