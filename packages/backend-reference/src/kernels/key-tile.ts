/** Keys that are dequantised at a time; a multiple of 4. */
export const TILE = 64

/** A few dequantised keys; the value of a key is its leading part. */
export class KeyTile {
  /** [TILE + 1, headDim]: the last row is always zero. */
  readonly keys: Float64Array
  /** Position of each key within its request. */
  readonly positions = new Float64Array(TILE)
  count = 0

  constructor(headDim: number) {
    this.keys = new Float64Array((TILE + 1) * headDim)
  }
}
