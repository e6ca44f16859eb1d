import {
  type CostModel,
  type DecodeArgs,
  type DecodeProblem,
  forEachSplit,
  type SchedulePiece,
  type SparseDecodeArgs,
  type SparseDecodeProblem,
  sparseLengths,
} from '@polymla/core'
import { integers, type View, type Viewed } from '../view.js'

export type SplitProblem = DecodeProblem | SparseDecodeProblem
export type SplitArgs = Viewed<DecodeArgs> | Viewed<SparseDecodeArgs>

/** The same on every machine, so that results do not depend on the number of cores. */
export const PARTITIONS = 32

export const costModel: CostModel = {
  maxPartitions: PARTITIONS,
  choose: () => ({ partitions: PARTITIONS, fixedOverhead: 1 }),
}

/** Indices per page of a sparse decode's schedule. */
export const INDEX_PAGE = 64

/** Bytes of scratch: for each piece of a split request and each query row, valueDim numbers and lse, in float64. */
export function workspaceBytes(problem: SplitProblem): number {
  const { maxBatch, queryTokens, heads, valueDim, splitPages } = problem
  const splits = Math.ceil(maxPages(problem) / (splitPages || 1))
  if (splits <= 1) return 0
  // Unless they are cut at fixed places, requests are split only where a partition begins or ends.
  const pieces = splitPages > 0 ? maxBatch * splits : Math.min(maxBatch * splits, 2 * PARTITIONS)
  return pieces * queryTokens * heads * (valueDim + 1) * Float64Array.BYTES_PER_ELEMENT
}

function maxPages(problem: SplitProblem): number {
  return problem.op === 'decode' ? problem.blockTableWidth : longestLength(problem) / INDEX_PAGE
}

/** What a request of a sparse decode is scheduled with at most, in whole pages. */
export function longestLength({ topk, extra }: SparseDecodeProblem): number {
  return wholePages(Math.max(topk, 1)) + wholePages(extra?.topk ?? 0)
}

/** `indices` rounded up to whole pages of the schedule. */
export function wholePages(indices: number): number {
  return Math.ceil(indices / INDEX_PAGE) * INDEX_PAGE
}

/** Tokens, or indices, per page of the problem's schedule. */
export function workPageSize(problem: SplitProblem): number {
  return problem.op === 'decode' ? problem.cache.pageSize : INDEX_PAGE
}

/** The lengths that a launch is scheduled with. */
export function workLengths(problem: SplitProblem, args: SplitArgs): Int32Array {
  return 'seqlens' in args
    ? givenLengths(problem, args.batch, args.seqlens, null)
    : givenLengths(problem, args.batch, args.topkLength, args.extraTopkLength)
}

/** The same from the tensors that hold them, clamped to what the problem allows. */
export function givenLengths(
  problem: SplitProblem,
  batch: number,
  given: View | null,
  extra: View | null,
): Int32Array {
  if (problem.op === 'decode') {
    return clamped(given as View, batch, problem.blockTableWidth * problem.cache.pageSize)
  }
  const lengths = new Int32Array(batch)
  const extraTopk = problem.extra?.topk ?? 0
  const load = {
    batch,
    topk: problem.topk,
    topkLength: given ? clamped(given, batch, problem.topk) : undefined,
    extraTopk,
    extraTopkLength: extra ? clamped(extra, batch, extraTopk) : undefined,
  }
  sparseLengths(load, INDEX_PAGE, lengths)
  return lengths
}

/** The first `batch` lengths, each in [0, max]. */
function clamped(lengths: View, batch: number, max: number): Int32Array {
  return integers(lengths)
    .slice(0, batch)
    .map((length) => Math.min(Math.max(length, 0), max))
}

/**
 * Visits the pieces of a schedule in order, each with the place of its partial state in the workspace. Pieces of split
 * requests take places one after the other, so those of one request are neighbours; others need none and get −1.
 */
export function forEachPiece(
  problem: SplitProblem,
  args: SplitArgs,
  lengths: Int32Array,
  visit: (piece: SchedulePiece, place: number) => void,
): void {
  let places = 0
  const { schedule, numSplits, splitPages } = args
  const params = { pageSize: workPageSize(problem), splitPages }
  forEachSplit(
    integers(schedule as View),
    PARTITIONS,
    integers(numSplits as View),
    lengths,
    params,
    (piece) => visit(piece, piece.splits > 1 ? places++ : -1),
  )
}

/** A partial state of query row `row` = s · heads + h: `valueDim` numbers, then lse, −Infinity when nothing was seen. */
export function partialState(
  problem: SplitProblem,
  args: SplitArgs,
  place: number,
  row: number,
): Float64Array {
  const { memory, byteOffset } = args.workspace as View
  const width = problem.valueDim + 1
  const index = place * problem.queryTokens * problem.heads + row
  return new Float64Array(memory, byteOffset + index * width * Float64Array.BYTES_PER_ELEMENT, width)
}
