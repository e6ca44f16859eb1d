import type { DecodeArgs, SparseDecodeArgs } from '@polymla/core'
import { vector } from '../view.js'
import { combine } from './combine.js'
import type { Phase } from './kernel.js'
import { ROWS, type RowBlock } from './row-block.js'
import { applySink, publicLse, writeRow } from './rows.js'
import {
  forEachPiece,
  PARTITIONS,
  partialState,
  type SplitArgs,
  type SplitProblem,
  workLengths,
} from './splits.js'

/** A query row of a launch. */
export interface QueryRow {
  readonly request: number
  readonly s: number
  readonly head: number
}

/** Stores what a piece gave for one query row: in the outputs, or at its place in the workspace if it has one. */
export function storeResult(
  problem: SplitProblem,
  args: SplitArgs,
  rows: RowBlock,
  row: number,
  target: QueryRow,
  place: number,
): void {
  const { valueDim, heads } = problem
  if (place >= 0) {
    const state = partialState(problem, args, place, target.s * heads + target.head)
    state[valueDim] = rows.result(row, state)
    return
  }
  const values = new Float64Array(valueDim)
  writeOutputs(args, target, values, rows.result(row, values))
}

/** Second phase of a decode: combines the pieces of every split request, in order. */
export const mergeSplits: Phase<SplitProblem, DecodeArgs | SparseDecodeArgs> = {
  units: ({ queryTokens, heads }) => PARTITIONS * Math.ceil((queryTokens * heads) / ROWS),

  /** A block of rows of the split requests whose first piece is in one partition. */
  run(problem, args, unit) {
    const { queryTokens, heads } = problem
    const partition = unit % PARTITIONS
    const begin = Math.floor(unit / PARTITIONS) * ROWS
    const end = Math.min(begin + ROWS, queryTokens * heads)
    forEachPiece(problem, args, workLengths(problem, args), (piece, place) => {
      if (place < 0 || piece.split > 0 || piece.partition !== partition) return
      for (let row = begin; row < end; row++) {
        const target = { request: piece.request, s: Math.floor(row / heads), head: row % heads }
        mergeRow(problem, args, target, place, piece.splits)
      }
    })
  },
}

function mergeRow(
  problem: SplitProblem,
  args: SplitArgs,
  target: QueryRow,
  place: number,
  splits: number,
): void {
  const { valueDim, heads } = problem
  const states = Array.from({ length: splits }, (_, split) =>
    partialState(problem, args, place + split, target.s * heads + target.head),
  )
  const weights = new Float64Array(splits)
  const lse = combine(
    Float64Array.from(states, (state) => state[valueDim]),
    weights,
  )
  const values = new Float64Array(valueDim)
  for (let split = 0; split < splits; split++) {
    const state = states[split]
    for (let d = 0; d < valueDim; d++) values[d] += weights[split] * state[d]
  }
  writeOutputs(args, target, values, lse)
}

function writeOutputs(
  args: SplitArgs,
  { request, s, head }: QueryRow,
  values: Float64Array,
  lse: number,
): void {
  if ('sink' in args) applySink(args.sink, head, values, lse)
  writeRow(args.out, values, request, s, head)
  if (args.lse) vector(args.lse, request, head)[s] = publicLse(lse)
}
