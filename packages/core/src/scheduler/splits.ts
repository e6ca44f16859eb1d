import { invalidArgument } from '../errors.js'
import { INT32_MAX, integer, object } from '../problem/checks.js'
import { int32Array } from './int32.js'
import { BEGIN_PAGE, BEGIN_REQUEST, BEGIN_SPLIT, END_PAGE, END_REQUEST, SCHEDULE_STRIDE } from './layout.js'
import type { ScheduleParams } from './schedule.js'

/** One piece of work: a run of pages of one request, which one partition attends to and reduces to one partial state. */
export interface SchedulePiece {
  readonly partition: number
  readonly request: number
  /** Index of this split within the request, from 0. */
  readonly split: number
  /** Place of the partial result in scratch: numSplits[request] + split. */
  readonly slot: number
  /** Splits of this request; 1 means the piece is the result and needs no scratch. */
  readonly splits: number
  readonly beginPage: number
  /** Exclusive; equals `beginPage` only for a request of length 0. */
  readonly endPage: number
}

/**
 * Reads a schedule of {@link computeSchedule}: visits every piece of work, partition by partition, each in the order
 * the partition executes it. Pages of a request are visited once and in order; a request of length 0 is one piece.
 *
 * @param schedule int32 [≥ partitions · 8]
 * @param partitions rows to read, ≥ 0; idle ones are skipped
 * @param numSplits int32 [≥ batch + 1], prefix sums of the splits per request
 * @param lengths int32 [≥ batch], the lengths the schedule was computed from
 * @param params page size and splitPages the schedule was computed with
 * @throws `POLYMLA_INVALID_ARGUMENT` when an argument is out of range, or a row does not fit these lengths
 */
export function forEachSplit(
  schedule: Int32Array,
  partitions: number,
  numSplits: Int32Array,
  lengths: Int32Array,
  params: Pick<ScheduleParams, 'pageSize' | 'splitPages'>,
  visit: (piece: SchedulePiece) => void,
): void {
  const pageSize = integer('params.pageSize', object('params', params).pageSize, 1, INT32_MAX)
  // FlashMLA's schedule breaks a request only where a row ends: there, no split is too long.
  const splitPages = integer('params.splitPages', params.splitPages ?? 0, 0, INT32_MAX) || INT32_MAX
  integer('partitions', partitions, 0, INT32_MAX)
  int32Array('schedule', schedule, partitions * SCHEDULE_STRIDE)
  int32Array('lengths', lengths, 0)
  int32Array('numSplits', numSplits, 1)
  const requests = Math.min(lengths.length, numSplits.length - 1)

  for (let partition = 0; partition < partitions; partition++) {
    const base = partition * SCHEDULE_STRIDE
    const first = schedule[base + BEGIN_REQUEST]
    const last = schedule[base + END_REQUEST]
    if (first > last) continue
    if (first < 0 || last >= requests)
      throw mismatch(partition, `requests in [0, ${requests})`, `${first}…${last}`)

    for (let request = first; request <= last; request++) {
      const pages = Math.ceil(lengths[request] / pageSize)
      const endPage = request === last ? schedule[base + END_PAGE] : pages
      let page = request === first ? schedule[base + BEGIN_PAGE] : 0
      let split = request === first ? schedule[base + BEGIN_SPLIT] : 0
      // Only a request of length 0 may have an empty piece.
      if (page < 0 || page > endPage || endPage > pages || (page === endPage && pages > 0)) {
        throw mismatch(partition, `pages in [0, ${pages}] of request ${request}`, `${page}…${endPage}`)
      }
      const slots = numSplits[request]
      const splits = numSplits[request + 1] - slots
      do {
        const beginPage = page
        page = Math.min(page + splitPages, endPage)
        visit({ partition, request, split, slot: slots + split, splits, beginPage, endPage: page })
        split++
      } while (page < endPage)
    }
  }
}

function mismatch(partition: number, expected: string, found: string): Error {
  return invalidArgument(
    `schedule row ${partition}`,
    expected,
    found,
    'Compute the schedule from these lengths again',
  )
}
