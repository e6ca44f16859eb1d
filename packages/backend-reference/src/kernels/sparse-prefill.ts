import type { SparsePrefillArgs, SparsePrefillProblem } from '@polymla/core'
import { type Viewed, vector } from '../view.js'
import type { Kernel } from './kernel.js'
import { type KeyTile, TILE } from './key-tile.js'
import { ROWS } from './row-block.js'
import { applySink, publicLse, readRow, writeRow } from './rows.js'
import { scratch } from './scratch.js'

/** See `SparsePrefillProblem`. A unit is a block of heads of one query token. */
export const sparsePrefill: Kernel<SparsePrefillProblem, SparsePrefillArgs> = [
  {
    units: ({ queryTokens, heads }) => queryTokens * Math.ceil(heads / ROWS),

    run(problem, args, unit) {
      const { queryTokens, heads, headDim, valueDim, softmaxScale } = problem
      const s = unit % queryTokens
      const begin = Math.floor(unit / queryTokens) * ROWS
      const end = Math.min(begin + ROWS, heads)
      const { rows, tile } = scratch(headDim, valueDim)

      rows.reset()
      for (let head = begin; head < end; head++) readRow(args.q, rows.q, (head - begin) * headDim, s, head)
      for (const keys of tiles(problem, args, s, tile)) rows.attend(keys, 0, end - begin, softmaxScale)

      const values = new Float64Array(valueDim)
      for (let head = begin; head < end; head++) {
        const lse = rows.result(head - begin, values)
        applySink(args.sink, head, values, lse)
        writeRow(args.out, values, s, head)
        if (args.lse) vector(args.lse, s)[head] = publicLse(lse)
        if (args.maxLogits) vector(args.maxLogits, s)[head] = rows.maxScore(head - begin)
      }
    },
  },
]

/** The keys that query token s sees, a tile at a time. */
function* tiles(
  { topk, keys, headDim }: SparsePrefillProblem,
  args: Viewed<SparsePrefillArgs>,
  s: number,
  tile: KeyTile,
): Generator<KeyTile> {
  const indices = vector(args.indices, s, 0)
  const length = args.topkLength ? Math.min(vector(args.topkLength)[s], topk) : topk
  tile.count = 0
  for (let i = 0; i < length; i++) {
    const key = indices[i]
    if (key < 0 || key >= keys) continue
    readRow(args.kv, tile.keys, tile.count * headDim, key, 0)
    tile.count++
    if (tile.count === TILE) {
      yield tile
      tile.count = 0
    }
  }
  if (tile.count > 0) yield tile
}
