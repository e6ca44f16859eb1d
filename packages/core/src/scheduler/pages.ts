import { invalidArgument } from '../errors.js'

/** Pages a request is charged for: max(ceil(length / pageSize), 1), since a request without keys is still work. */
export function pageCount(length: number, pageSize: number): number {
  return Math.floor(Math.max(length - 1, 0) / pageSize) + 1
}

/** Splits of a request that is cut every `splitPages` pages. */
export function splitCount(pages: number, splitPages: number): number {
  return Math.ceil(pages / splitPages)
}

/** Σ pageCount. Sums are doubles: 20,000 requests of 2^31 − 1 tokens exceed int32. Throws on a negative length. */
export function totalPages(lengths: Int32Array, batch: number, pageSize: number): number {
  let total = 0
  for (let request = 0; request < batch; request++) {
    const length = lengths[request]
    if (length < 0) {
      throw invalidArgument(`lengths[${request}]`, 'a length ≥ 0', length, 'Use 0 for a request without keys')
    }
    total += pageCount(length, pageSize)
  }
  return total
}

/** The largest pageCount, 0 for an empty batch. */
export function maxPages(lengths: Int32Array, batch: number, pageSize: number): number {
  let max = 0
  for (let request = 0; request < batch; request++) {
    max = Math.max(max, pageCount(lengths[request], pageSize))
  }
  return max
}

/** Σ splitCount. */
export function totalSplits(
  lengths: Int32Array,
  batch: number,
  pageSize: number,
  splitPages: number,
): number {
  let total = 0
  for (let request = 0; request < batch; request++) {
    total += splitCount(pageCount(lengths[request], pageSize), splitPages)
  }
  return total
}
