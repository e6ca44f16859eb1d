import type { View } from '../view.js'
import { combine } from './combine.js'
import type { Phase } from './kernel.js'
import { ROWS, type RowBlock } from './row-block.js'
import { publicLse, sinkGate, writeRow } from './rows.js'
import {
  forEachPiece,
  PARTITIONS,
  partialState,
  type SplitArgs,
  type SplitProblem,
} from './splits.js'

/**
 * Ends the work of a piece on one query row: the result of a request that is whole goes to its outputs, that of a
 * split one to its place in the workspace. `scale` multiplies the values.
 */
export function storeState(
  problem: SplitProblem,
  args: SplitArgs,
  rows: RowBlock,
  row: number,
  scale: number,
  place: number,
  target: { readonly request: number; readonly s: number; readonly head: number },
): void {
  const { request, s, head } = target
  if (place < 0) {
    const values = new Float64Array(problem.valueDim)
    const lse = rows.result(row, scale, values)
    writeOutputs(args, request, s, head, values, lse)
  } else {
    const state = partialState(problem, args, place, s * problem.heads + head)
    state[problem.valueDim] = rows.result(row, scale, state)
  }
}

/** Second phase of a decode: adds up, in order, the partial states of each split request that begins in a partition. */
export const mergeSplits: Phase<SplitProblem, never> = {
}
