import { invalidArgument } from '../errors.js'
import { INT32_MAX, integer, object } from '../problem/checks.js'
import { int32Array } from './int32.js'

/** How many indices each request of a sparse decode attends to. */
export interface SparseLoad {
  readonly batch: number
  /** Width of the index tensor, ≥ 0. */
  readonly topk: number
  /** int32 [≥ batch], each in [0, topk]; absent: every request uses all `topk` indices. */
  readonly topkLength?: Int32Array | undefined
  /** Width of the extra cache's index tensor; absent or 0: no extra cache. */
  readonly extraTopk?: number | undefined
  /** int32 [≥ batch], each in [0, extraTopk]; absent: all `extraTopk` indices. */
  readonly extraTopkLength?: Int32Array | undefined
}

/**
 * The lengths with which a sparse decode is scheduled (FlashMLA 9241ae3): the number of indices, 0 counting as 1; with
 * an extra cache that number rounded up to whole pages, plus the number of extra indices, since its pages come after.
 *
 * @param pageSize indices per page of work (64 in FlashMLA), not the page size of either cache
 * @param lengths int32 [≥ batch], written
 * @throws `POLYMLA_INVALID_ARGUMENT` when an argument is out of range; nothing is written then
 */
export function sparseLengths(load: SparseLoad, pageSize: number, lengths: Int32Array): void {
  const { topkLength, extraTopkLength } = object('load', load)
  const batch = integer('batch', load.batch, 0, INT32_MAX)
  integer('pageSize', pageSize, 1, INT32_MAX)
  const topk = integer('topk', load.topk, 0, INT32_MAX)
  const wholePages = (count: number) => Math.ceil(Math.max(count, 1) / pageSize) * pageSize
  const extraTopk = integer('extraTopk', load.extraTopk ?? 0, 0, Math.max(INT32_MAX - wholePages(topk), 0))
  if (topkLength) checkCounts('topkLength', topkLength, batch, topk)
  if (extraTopkLength) checkCounts('extraTopkLength', extraTopkLength, batch, extraTopk)
  int32Array('lengths', lengths, batch)

  for (let request = 0; request < batch; request++) {
    const count = topkLength ? topkLength[request] : topk
    lengths[request] =
      extraTopk === 0
        ? Math.max(count, 1)
        : wholePages(count) + (extraTopkLength ? extraTopkLength[request] : extraTopk)
  }
}

function checkCounts(path: string, counts: Int32Array, batch: number, max: number): void {
  int32Array(path, counts, batch)
  for (let request = 0; request < batch; request++) {
    if (counts[request] < 0 || counts[request] > max) {
      throw invalidArgument(`${path}[${request}]`, `a number of indices in [0, ${max}]`, counts[request])
    }
  }
}
