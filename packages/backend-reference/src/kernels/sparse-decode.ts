import type { SchedulePiece, SparseDecodeArgs, SparseDecodeProblem } from '@polymla/core'
import { integers, type View, type Viewed, vector } from '../view.js'
import type { Kernel, Phase } from './kernel.js'
import { type KeyTile, TILE } from './key-tile.js'
import { PagedKeys } from './paged-keys.js'
import { ROWS } from './row-block.js'
import { readRow } from './rows.js'
import { scratch } from './scratch.js'
import { mergeSplits, storeResult } from './split-results.js'
import { forEachPiece, INDEX_PAGE, PARTITIONS, wholePages, workLengths } from './splits.js'

type Args = Viewed<SparseDecodeArgs>

/** First phase: attention of a block of heads of one query token, over the pieces of one partition. */
const attend: Phase<SparseDecodeProblem, SparseDecodeArgs> = {
  units: ({ queryTokens, heads }) => PARTITIONS * queryTokens * Math.ceil(heads / ROWS),

  run(problem, args, unit) {
    const { queryTokens, heads } = problem
    const partition = unit % PARTITIONS
    const s = Math.floor(unit / PARTITIONS) % queryTokens
    const begin = Math.floor(unit / (PARTITIONS * queryTokens)) * ROWS
    const end = Math.min(begin + ROWS, heads)
    const lengths = workLengths(problem, args)
    forEachPiece(problem, args, lengths, (piece, place) => {
      if (piece.partition === partition) attendPiece(problem, args, piece, place, s, begin, end)
    })
  },
}

function attendPiece(
  problem: SparseDecodeProblem,
  args: Args,
  piece: SchedulePiece,
  place: number,
  s: number,
  begin: number,
  end: number,
): void {
  const { headDim } = problem.cache
  const { request } = piece
  const { rows, tile } = scratch(headDim, problem.valueDim)
  rows.reset()
  for (let head = begin; head < end; head++) {
    readRow(args.q, rows.q, (head - begin) * headDim, request, s, head)
  }
  for (const keys of tiles(problem, args, piece, s, tile))
    rows.attend(keys, 0, end - begin, problem.softmaxScale)
  for (let head = begin; head < end; head++) {
    storeResult(problem, args, rows, head - begin, { request, s, head }, place)
  }
}

/**
 * The keys of a piece, a tile at a time. Places of the schedule count the indices of the main cache first, filled up to
 * whole pages, then those of the extra cache.
 */
function* tiles(
  problem: SparseDecodeProblem,
  args: Args,
  { request, beginPage, endPage }: SchedulePiece,
  s: number,
  tile: KeyTile,
): Generator<KeyTile> {
  const { cache: layout, extra, topk } = problem
  const main = {
    cache: new PagedKeys(layout, args.cache, args.descaleK),
    indices: vector(args.indices, request, s),
    length: lengthOf(args.topkLength, request, topk),
  }
  const more = extra && {
    cache: new PagedKeys(extra.cache, args.extraCache as View, args.descaleK),
    indices: vector(args.extraIndices as View, request, s),
    length: lengthOf(args.extraTopkLength, request, extra.topk),
  }
  const mainPlaces = wholePages(Math.max(main.length, 1))

  tile.count = 0
  for (let place = beginPage * INDEX_PAGE; place < endPage * INDEX_PAGE; place++) {
    const source = place < mainPlaces ? main : more
    const i = place < mainPlaces ? place : place - mainPlaces
    if (!source || i >= source.length || !source.cache.hasToken(source.indices[i])) continue
    source.cache.readToken(source.indices[i], tile.keys, tile.count * layout.headDim)
    tile.count++
    if (tile.count === TILE) {
      yield tile
      tile.count = 0
    }
  }
  if (tile.count > 0) yield tile
}

/** How many leading indices count, clamped to [0, topk]. */
function lengthOf(lengths: View | null, request: number, topk: number): number {
  return lengths ? Math.min(Math.max(integers(lengths)[request], 0), topk) : topk
}

/** See `SparseDecodeProblem`. */
export const sparseDecode: Kernel<SparseDecodeProblem, SparseDecodeArgs> = [attend, mergeSplits]
