import fc from 'fast-check'
import { SCHEDULE_STRIDE } from './layout.js'
import { computeSchedule, type ScheduleParams } from './schedule.js'
import { forEachSplit, type SchedulePiece } from './splits.js'

const SCHEDULE_FILL = -7

export interface BuiltSchedule {
  readonly rows: number[][]
  readonly numSplits: number[]
  readonly splits: number
  readonly pieces: SchedulePiece[]
}

/** Runs the scheduler on buffers that hold garbage, and reads its schedule back. */
export function buildSchedule(
  lengths: ArrayLike<number>,
  params: ScheduleParams,
  spareRows = 0,
): BuiltSchedule {
  const tokens = Int32Array.from(lengths)
  const schedule = new Int32Array((params.partitions + spareRows) * SCHEDULE_STRIDE).fill(SCHEDULE_FILL)
  const numSplits = new Int32Array(tokens.length + 1).fill(SCHEDULE_FILL)
  const splits = computeSchedule(tokens, tokens.length, params, schedule, numSplits)
  const pieces: SchedulePiece[] = []
  forEachSplit(schedule, params.partitions, numSplits, tokens, params, (piece) => pieces.push(piece))
  const rows = Array.from({ length: params.partitions + spareRows }, (_, row) =>
    Array.from(schedule.subarray(row * SCHEDULE_STRIDE, (row + 1) * SCHEDULE_STRIDE)),
  )
  return { rows, numSplits: Array.from(numSplits), splits, pieces }
}

/** Cost of each partition's pieces: pages (an empty piece counts one) + fixed overhead. */
export function partitionCosts(pieces: readonly SchedulePiece[], params: ScheduleParams): number[] {
  const costs = new Array<number>(params.partitions).fill(0)
  for (const { partition, beginPage, endPage } of pieces) {
    costs[partition] += Math.max(endPage - beginPage, 1) + params.fixedOverhead
  }
  return costs
}

/** Requests around page borders, with many empty ones; `longest` tokens at most. */
export function lengthsArbitrary(longest: number): fc.Arbitrary<number[]> {
  const length = fc.oneof(
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: longest }) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 0, max: Math.floor(longest / 64) }).map((pages) => pages * 64),
    },
    { weight: 1, arbitrary: fc.constant(longest) },
  )
  return fc.oneof(fc.array(length, { maxLength: 12 }), fc.array(length, { maxLength: 150 }))
}

export const pageSizeArbitrary = fc.constantFrom(64, 64, 1, 3, 16, 256)
export const overheadArbitrary = fc.oneof(fc.constantFrom(5, 0), fc.integer({ min: 0, max: 40 }))
export const partitionsArbitrary = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 160 }))
