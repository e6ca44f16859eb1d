import { KeyTile } from './key-tile.js'
import { RowBlock } from './row-block.js'

let kept: { key: string; rows: RowBlock; tile: KeyTile } | undefined

/** This thread's row block and key tile for these widths, contents undefined; kept from one unit to the next. */
export function scratch(headDim: number, valueDim: number): { rows: RowBlock; tile: KeyTile } {
  const key = `${headDim}/${valueDim}`
  if (kept?.key !== key) kept = { key, rows: new RowBlock(headDim, valueDim), tile: new KeyTile(headDim) }
  return kept
}
