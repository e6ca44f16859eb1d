import type { DecodeArgs, DecodeProblem, SchedulePiece } from '@polymla/core'
import { type Viewed, vector } from '../view.js'
import type { Kernel, Phase } from './kernel.js'
import { type KeyTile, TILE } from './key-tile.js'
import { PagedKeys } from './paged-keys.js'
import { ROWS } from './row-block.js'
import { readRow } from './rows.js'
import { scratch } from './scratch.js'
import { mergeSplits, storeResult } from './split-results.js'
import { forEachPiece, PARTITIONS, workLengths } from './splits.js'
import { sees } from './visibility.js'

type Args = Viewed<DecodeArgs>

/** Query rows that one KV head serves: s · group + h, with group = heads / headsKv. */
function rowsPerKvHead({ queryTokens, heads, cache }: DecodeProblem): number {
  return queryTokens * (heads / cache.headsKv)
}

/** First phase: attention of a block of rows of one KV head, over the pieces of one partition. */
const attend: Phase<DecodeProblem, DecodeArgs> = {
  units: (problem) => PARTITIONS * problem.cache.headsKv * Math.ceil(rowsPerKvHead(problem) / ROWS),

  run(problem, args, unit) {
    const { headsKv } = problem.cache
    const partition = unit % PARTITIONS
    const kvHead = Math.floor(unit / PARTITIONS) % headsKv
    const begin = Math.floor(unit / (PARTITIONS * headsKv)) * ROWS
    const end = Math.min(begin + ROWS, rowsPerKvHead(problem))
    const lengths = workLengths(problem, args)
    forEachPiece(problem, args, lengths, (piece, place) => {
      if (piece.partition === partition)
        attendPiece(problem, args, piece, place, lengths[piece.request], kvHead, begin, end)
    })
  },
}

function attendPiece(
  problem: DecodeProblem,
  args: Args,
  piece: SchedulePiece,
  place: number,
  length: number,
  kvHead: number,
  begin: number,
  end: number,
): void {
  const { heads, valueDim, softmaxScale } = problem
  const { headsKv, headDim } = problem.cache
  const { request } = piece
  const group = heads / headsKv
  const tokenOf = (row: number) => Math.floor(row / group)
  const headOf = (row: number) => kvHead * group + (row % group)
  const { rows, tile } = scratch(headDim, valueDim)

  rows.reset()
  for (let row = begin; row < end; row++) {
    readRow(args.q, rows.q, (row - begin) * headDim, request, tokenOf(row), headOf(row))
  }
  const scale = softmaxScale * args.descaleQ
  for (const keys of tiles(problem, args, piece, length, kvHead, tile)) {
    for (let s = tokenOf(begin); s <= tokenOf(end - 1); s++) {
      const first = Math.max(s * group, begin) - begin
      const last = Math.min((s + 1) * group, end) - begin
      const maskRow = args.treeMask && (vector(args.treeMask, request, s) as Int32Array)
      rows.attend(keys, first, last, scale, (j) => sees(problem, length, s, maskRow, j))
    }
  }
  for (let row = begin; row < end; row++) {
    storeResult(problem, args, rows, row - begin, { request, s: tokenOf(row), head: headOf(row) }, place)
  }
}

/** The keys of a piece, a tile at a time, from as many pages as it takes to fill one. */
function* tiles(
  problem: DecodeProblem,
  args: Args,
  { request, beginPage, endPage }: SchedulePiece,
  length: number,
  kvHead: number,
  tile: KeyTile,
): Generator<KeyTile> {
  const { pageSize, headDim } = problem.cache
  const cache = new PagedKeys(problem.cache, args.cache, args.descaleK)
  const pages = vector(args.blockTable, request)
  tile.count = 0
  for (let i = beginPage; i < endPage; i++) {
    if (!cache.has(pages[i])) continue
    const tokens = Math.min(pageSize, length - i * pageSize)
    for (let offset = 0, count = 0; offset < tokens; offset += count) {
      count = Math.min(tokens - offset, TILE - tile.count)
      cache.read(pages[i], offset, count, kvHead, tile.keys, tile.count * headDim)
      for (let key = 0; key < count; key++) tile.positions[tile.count++] = i * pageSize + offset + key
      if (tile.count === TILE) {
        yield tile
        tile.count = 0
      }
    }
  }
  if (tile.count > 0) yield tile
}

/** See `DecodeProblem`. */
export const decode: Kernel<DecodeProblem, DecodeArgs> = [attend, mergeSplits]
