import { INT32_MAX, integer } from '../problem/checks.js'
import { int32Array } from './int32.js'
import { maxPages, totalPages } from './pages.js'

/** The size of one step's work, in pages after max(ceil(length / pageSize), 1). */
export interface ScheduleLoad {
  /** Requests. */
  readonly batch: number
  /** Pages of all requests together. */
  readonly totalPages: number
  /** Pages of the longest request; 0 when the batch is 0. */
  readonly maxPages: number
}

/**
 * What a backend tells the scheduler; asked once per update.
 *
 * FlashMLA's choice does not depend on the load: with `P = flashMlaPartitions(…)` it is
 * `{ maxPartitions: P, choose: () => ({ partitions: P, fixedOverhead: 5 }) }`. A backend may do better by lowering the
 * overhead or the partitions of small steps.
 */
export interface CostModel {
  /** Rows of the schedule buffer, ≥ 1: constant for the plan's life, so that a captured launch stays valid. */
  readonly maxPartitions: number
  /** `partitions` in [1, maxPartitions]; `fixedOverhead`, the cost of one piece of work in pages, ≥ 0. Both integers. */
  choose(load: ScheduleLoad): { readonly partitions: number; readonly fixedOverhead: number }
}

/**
 * The load of a step, to ask a cost model with.
 *
 * @param lengths int32 [≥ batch], tokens per request
 * @param batch requests, ≥ 0
 * @param pageSize tokens per page, ≥ 1
 * @throws `POLYMLA_INVALID_ARGUMENT` when an argument is out of range or a length is negative
 */
export function measureLoad(lengths: Int32Array, batch: number, pageSize: number): ScheduleLoad {
  integer('batch', batch, 0, INT32_MAX)
  integer('pageSize', pageSize, 1, INT32_MAX)
  int32Array('lengths', lengths, batch)
  return {
    batch,
    totalPages: totalPages(lengths, batch, pageSize),
    maxPages: maxPages(lengths, batch, pageSize),
  }
}
