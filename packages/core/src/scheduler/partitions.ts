import { headsPerGroup, INT32_MAX, integer, object, oneOf } from '../problem/checks.js'

/** Query rows that one streaming multiprocessor works on at a time, on Hopper. */
const ROWS_PER_TILE = 64

export interface FlashMlaShape {
  readonly op: 'decode' | 'sparseDecode'
  /** Streaming multiprocessors of the device; 132 on an H100 or H200. */
  readonly multiprocessors: number
  readonly queryTokens: number
  readonly heads: number
  /** Default 1, the only value of sparse decode. */
  readonly headsKv?: number | undefined
}

/**
 * Partitions FlashMLA (9241ae3) schedules for, at least 1:
 *
 * - decode: floor(SMs / headsKv / ceil(queryTokens · heads / headsKv / 64))
 * - sparseDecode: floor(SMs / queryTokens / ceil(heads / 64)); FlashMLA itself takes 64 and 128 heads only
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when a number is not a positive integer or `headsKv` does not divide `heads`
 */
export function flashMlaPartitions(shape: FlashMlaShape): number {
  const { headsKv = 1 } = object('shape', shape)
  const op = oneOf('op', shape.op, ['decode', 'sparseDecode'])
  const multiprocessors = integer('multiprocessors', shape.multiprocessors, 1, INT32_MAX)
  const queryTokens = integer('queryTokens', shape.queryTokens, 1, INT32_MAX)
  integer('headsKv', headsKv, 1, op === 'decode' ? INT32_MAX : 1)
  const heads = headsPerGroup('heads', shape.heads, headsKv)
  const tiles =
    op === 'decode'
      ? headsKv * Math.ceil((queryTokens * (heads / headsKv)) / ROWS_PER_TILE)
      : queryTokens * Math.ceil(heads / ROWS_PER_TILE)
  return Math.max(Math.floor(multiprocessors / tiles), 1)
}
