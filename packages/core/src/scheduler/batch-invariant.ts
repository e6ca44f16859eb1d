import { maxPages, pageCount, splitCount } from './pages.js'

/**
 * The smallest payload with which a greedy walk over whole splits fits into the partitions. Splits are placed in
 * order and greedy placement is optimal for that, so no other schedule of this mode has a cheaper worst partition.
 *
 * Search range: no payload under the mean cost of a partition or under the largest split will do, and
 * mean + largest − 1 always does: a partition then stops only when less than `largest` is left, that is after taking
 * at least the mean, so `partitions` of them take everything.
 *
 * @param mean ceil(total cost / partitions), a split costing its pages + fixedOverhead
 */
export function smallestPayload(
  lengths: Int32Array,
  batch: number,
  pageSize: number,
  splitPages: number,
  fixedOverhead: number,
  partitions: number,
  mean: number,
): number {
  const largest = Math.min(splitPages, maxPages(lengths, batch, pageSize)) + fixedOverhead
  let low = Math.max(mean, largest)
  let high = mean + largest - 1
  while (low < high) {
    const payload = low + Math.floor((high - low) / 2)
    if (partitionsNeeded(lengths, batch, pageSize, splitPages, fixedOverhead, payload) <= partitions) {
      high = payload
    } else {
      low = payload + 1
    }
  }
  return low
}

/** Partitions a greedy walk fills when none may cost more than `payload`, which holds any one split. */
function partitionsNeeded(
  lengths: Int32Array,
  batch: number,
  pageSize: number,
  splitPages: number,
  fixedOverhead: number,
  payload: number,
): number {
  const wholeCost = splitPages + fixedOverhead
  const wholesPerPartition = Math.floor(payload / wholeCost)
  let needed = 1
  let left = payload
  for (let request = 0; request < batch; request++) {
    const pages = pageCount(lengths[request], pageSize)
    // All splits but the last have splitPages pages: they are placed by division, not one by one.
    const wholes = splitCount(pages, splitPages) - 1
    const fitting = Math.floor(left / wholeCost)
    if (wholes <= fitting) {
      left -= wholes * wholeCost
    } else {
      const opened = Math.ceil((wholes - fitting) / wholesPerPartition)
      needed += opened
      left = payload - (wholes - fitting - (opened - 1) * wholesPerPartition) * wholeCost
    }
    const lastCost = pages - wholes * splitPages + fixedOverhead
    if (lastCost > left) {
      needed++
      left = payload
    }
    left -= lastCost
  }
  return needed
}
