import type { KvLayout } from '../kv-cache/formats.js'
import { cacheLayout } from './cache-layout.js'
import { INT32_MAX, integer, options } from './checks.js'

/** Copies whole pages within a cache, byte for byte: copy-on-write and defragmentation. */
export interface CopyPagesProblem {
  readonly op: 'copyPages'
  /** Largest number of (from, to) pairs of any launch; ≥ 0. */
  readonly maxPairs: number
  readonly cache: KvLayout
}

export interface CopyPagesOptions {
  readonly maxPairs: number
  readonly cache: KvLayout
}

/** Validates. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function copyPagesProblem(given: CopyPagesOptions): CopyPagesProblem {
  const o = options('copyPages', given, ['maxPairs', 'cache'])
  return Object.freeze({
    op: 'copyPages',
    maxPairs: integer('maxPairs', o.maxPairs, 0, INT32_MAX),
    cache: cacheLayout('cache', o.cache),
  })
}
