import { invalidArgument } from '../errors.js'
import { INT32_MAX, integer, object } from '../problem/checks.js'
import { smallestPayload } from './batch-invariant.js'
import { int32Array } from './int32.js'
import {
  BEGIN_PAGE,
  BEGIN_REQUEST,
  BEGIN_SPLIT,
  END_PAGE,
  END_REQUEST,
  FIRST_IS_SPLIT,
  LAST_IS_SPLIT,
  PAD,
  SCHEDULE_STRIDE,
} from './layout.js'
import { pageCount, splitCount, totalPages, totalSplits } from './pages.js'

/** All integers of at most 2^31 − 1. */
export interface ScheduleParams {
  /** Partitions to share the work between, ≥ 1. */
  readonly partitions: number
  /** Tokens per page, ≥ 1; 64 in FlashMLA. */
  readonly pageSize: number
  /** Cost of one piece of work beside its pages, in pages, ≥ 0; 5 in FlashMLA. */
  readonly fixedOverhead: number
  /**
   * Batch-invariant mode: every request is cut every `splitPages` pages, whatever else is in the batch.
   * Absent or 0: FlashMLA's schedule, which cuts where partitions end.
   */
  readonly splitPages?: number | undefined
}

/** Up to here quotients of integers round up correctly in doubles. */
const MAX_COST = 2 ** 52

/**
 * The tile schedule: which pages of which request each partition works on, in order.
 *
 * A request has n = max(ceil(length / pageSize), 1) pages; a piece of work costs its pages + F, F the fixed overhead.
 * Partitions take requests in order until their payload is spent. With P partitions:
 *
 * - **FlashMLA's schedule** (9241ae3, same rows and prefix sums bit for bit as long as its int32 sums do not overflow):
 *   payload = ceil(Σ(n + F) / P) + F. A partition that cannot finish a request takes payload left − F pages of it, when
 *   that is positive. So every partition spends at least ceil(Σ(n + F) / P) of its payload on work that the sum counted
 *   (a cut costs one F that the sum did not count, a partition that stops between requests leaves at most F), and P of
 *   them always cover all pages, for any P ≥ 1 and F ≥ 0. Balance: all busy partitions but the last cost between
 *   payload − F and payload, none costs more. At most batch + P − 1 splits.
 * - **Batch-invariant** (`splitPages` = S): a request has ceil(n / S) splits of S pages, the last may be shorter, and is
 *   cut nowhere else, so its results depend on its own length alone. Partitions take whole splits. The payload is the
 *   smallest that suffices: no placement of the splits in order has a cheaper worst partition, which costs less than
 *   T / P + max split cost, T the cost of all splits. Σ ceil(n / S) splits.
 *
 * A row is `SCHEDULE_STRIDE` int32: begin_req, end_req (inclusive), begin_block, end_block (exclusive; a block is a
 * page), begin_split_idx, first_is_split, last_is_split, 0. In between lie whole requests. A request of length 0 is one
 * piece without pages (its end_block is 0): it must be visited, for its outputs are written then. The flags say that
 * the first or last request has more than one split. An idle row is [batch, batch − 1, 0, e, 0, 0, 0, 0], e being the
 * end_block of the last request, 0 when the batch is 0.
 *
 * Allocates nothing.
 *
 * @param lengths int32 [≥ batch], tokens per request, ≥ 0
 * @param batch requests, ≥ 0
 * @param schedule int32 [≥ partitions · 8], written; the rows past `partitions` become idle, so a buffer and a launch
 *   of constant size serve any number of partitions
 * @param numSplits int32 [≥ batch + 1]; the first batch + 1 are written: prefix sums of the splits per request
 * @returns number of splits, numSplits[batch]
 * @throws `POLYMLA_INVALID_ARGUMENT` when an argument breaks a rule above, when splits exceed int32 or when the total
 *   cost exceeds 2^52 pages; nothing is written then
 */
export function computeSchedule(
  lengths: Int32Array,
  batch: number,
  params: ScheduleParams,
  schedule: Int32Array,
  numSplits: Int32Array,
): number {
  const { pageSize, fixedOverhead, splitPages = 0 } = object('params', params)
  const payload = checkedPayload(lengths, batch, params, schedule, numSplits)
  const rows = Math.floor(schedule.length / SCHEDULE_STRIDE)
  let request = 0
  let page = 0
  let split = 0
  let splits = 0
  numSplits[0] = 0
  for (let row = 0; row < rows; row++) {
    const beginRequest = request
    const base = row * SCHEDULE_STRIDE
    schedule[base + BEGIN_REQUEST] = request
    schedule[base + BEGIN_PAGE] = page
    schedule[base + BEGIN_SPLIT] = split

    let left = payload
    while (request < batch) {
      const pages = pageCount(lengths[request], pageSize) - page
      const pieces = splitPages === 0 ? 1 : splitCount(pages, splitPages)
      const cost = pages + pieces * fixedOverhead
      if (cost > left) break
      left -= cost
      splits += split + pieces
      request++
      numSplits[request] = splits
      page = 0
      split = 0
    }
    if (request < batch) {
      if (splitPages > 0) {
        const taken = Math.floor(left / (splitPages + fixedOverhead))
        page += taken * splitPages
        split += taken
      } else if (left > fixedOverhead) {
        page += left - fixedOverhead
        split++
      }
    }

    const endRequest = page > 0 ? request : request - 1
    const idle = beginRequest > endRequest
    schedule[base + END_REQUEST] = endRequest
    schedule[base + END_PAGE] = page > 0 ? page : endPageOf(endRequest, lengths, pageSize)
    schedule[base + FIRST_IS_SPLIT] = !idle && isSplit(beginRequest, request, page, numSplits) ? 1 : 0
    schedule[base + LAST_IS_SPLIT] = !idle && isSplit(endRequest, request, page, numSplits) ? 1 : 0
    schedule[base + PAD] = 0
  }
  return splits
}

function endPageOf(request: number, lengths: Int32Array, pageSize: number): number {
  return request < 0 || lengths[request] === 0 ? 0 : pageCount(lengths[request], pageSize)
}

/** Whether a request that the walk, now at `page` of `current`, has finished or cut consists of several splits. */
function isSplit(request: number, current: number, page: number, numSplits: Int32Array): boolean {
  return (request === current && page > 0) || numSplits[request + 1] - numSplits[request] > 1
}

/** Checks every argument, before anything is written, and returns the cost a partition may reach. */
function checkedPayload(
  lengths: Int32Array,
  batch: number,
  params: ScheduleParams,
  schedule: Int32Array,
  numSplits: Int32Array,
): number {
  const partitions = integer('params.partitions', params.partitions, 1, INT32_MAX)
  const pageSize = integer('params.pageSize', params.pageSize, 1, INT32_MAX)
  const fixedOverhead = integer('params.fixedOverhead', params.fixedOverhead, 0, INT32_MAX)
  const splitPages = integer('params.splitPages', params.splitPages ?? 0, 0, INT32_MAX)
  integer('batch', batch, 0, INT32_MAX)
  int32Array('lengths', lengths, batch)
  int32Array('schedule', schedule, partitions * SCHEDULE_STRIDE)
  int32Array('numSplits', numSplits, batch + 1)

  const pages = totalPages(lengths, batch, pageSize)
  const splits = splitPages === 0 ? batch : totalSplits(lengths, batch, pageSize, splitPages)
  if (splits > INT32_MAX) {
    throw invalidArgument(
      'params.splitPages',
      `at most ${INT32_MAX} splits in all`,
      splits,
      'Use longer splits',
    )
  }
  const cost = pages + splits * fixedOverhead
  if (cost > MAX_COST) {
    throw invalidArgument('params.fixedOverhead', 'a total cost of at most 2^52 pages', cost)
  }
  const mean = Math.ceil(cost / partitions)
  return splitPages === 0
    ? mean + fixedOverhead
    : smallestPayload(lengths, batch, pageSize, splitPages, fixedOverhead, partitions, mean)
}
