import type { KeyTile } from './key-tile.js'
import { TILE } from './key-tile.js'

/** Query rows that share the work of dequantising keys. */
export const ROWS = 32

/**
 * Attention of a block of query rows over keys that come a tile at a time. With m the largest score a row has seen,
 *
 *     score = scale · q · k,   sum = Σ exp(score − m),   acc = Σ exp(score − m) · v
 *
 * and a tile that raises m to m' first multiplies sum and acc by exp(m − m'). In the end out = acc / sum and
 * lse = m + ln sum. All in float64, keys in the order they come, every row for itself: how rows are blocked
 * changes no bit.
 */
export class RowBlock {
  /** [ROWS, headDim] */
  readonly q: Float64Array
  readonly #headDim: number
  readonly #valueDim: number
  readonly #max = new Float64Array(ROWS)
  readonly #sum = new Float64Array(ROWS)
  /** [ROWS, valueDim] */
  readonly #acc: Float64Array
  /** [ROWS, TILE]: scores, then exp(score − m) */
  readonly #weights = new Float64Array(ROWS * TILE)
  /** The rows of the tile that are seen, padded to a multiple of 4 with the row of zeros. */
  readonly #seen = new Int32Array(TILE)

  constructor(headDim: number, valueDim: number) {
    this.#headDim = headDim
    this.#valueDim = valueDim
    this.q = new Float64Array(ROWS * headDim)
    this.#acc = new Float64Array(ROWS * valueDim)
  }

  /** Forgets all keys. */
  reset(): void {
    this.#max.fill(Number.NEGATIVE_INFINITY)
    this.#sum.fill(0)
    this.#acc.fill(0)
  }

  /** Lets rows [begin, end) attend to those keys of the tile whose position they see. */
  attend(
    tile: KeyTile,
    begin: number,
    end: number,
    scale: number,
    sees: (position: number) => boolean = everything,
  ): void {
    let count = 0
    for (let key = 0; key < tile.count; key++) if (sees(tile.positions[key])) this.#seen[count++] = key
    if (count === 0) return
    const padded = Math.ceil(count / 4) * 4
    this.#seen.fill(TILE, count, padded)
    this.#dotProducts(tile.keys, begin, end, padded)
    for (let row = begin; row < end; row++) this.#softmax(row, count, padded, scale)
    this.#accumulate(tile.keys, begin, end, padded)
  }

  /** Largest score of a row; −Infinity when it saw nothing. */
  maxScore(row: number): number {
    return this.#max[row]
  }

  /**
   * Writes the `valueDim` numbers of acc / sum and returns lse; zeros and −Infinity when the row saw nothing or only
   * scores of −Infinity. NaN that a row really sees stays NaN.
   */
  result(row: number, out: Float64Array): number {
    const max = this.#max[row]
    const sum = this.#sum[row]
    const nothing = max === Number.NEGATIVE_INFINITY
    const from = row * this.#valueDim
    for (let d = 0; d < this.#valueDim; d++) out[d] = nothing ? 0 : this.#acc[from + d] / sum
    return nothing ? max : max + Math.log(sum)
  }

  /** weights = q · k, 4 rows by 2 keys at a time; where rows run out, the last is computed again. */
  #dotProducts(keys: Float64Array, begin: number, end: number, count: number): void {
    const q = this.q
    const weights = this.#weights
    const seen = this.#seen
    const width = this.#headDim
    for (let row = begin; row < end; row += 4) {
      const row1 = Math.min(row + 1, end - 1)
      const row2 = Math.min(row + 2, end - 1)
      const row3 = Math.min(row + 3, end - 1)
      const q0 = row * width
      const q1 = row1 * width
      const q2 = row2 * width
      const q3 = row3 * width
      for (let j = 0; j < count; j += 2) {
        const ka = seen[j] * width
        const kb = seen[j + 1] * width
        let a0 = 0
        let a1 = 0
        let a2 = 0
        let a3 = 0
        let b0 = 0
        let b1 = 0
        let b2 = 0
        let b3 = 0
        for (let d = 0; d < width; d++) {
          const a = keys[ka + d]
          const b = keys[kb + d]
          const x0 = q[q0 + d]
          const x1 = q[q1 + d]
          const x2 = q[q2 + d]
          const x3 = q[q3 + d]
          a0 += x0 * a
          a1 += x1 * a
          a2 += x2 * a
          a3 += x3 * a
          b0 += x0 * b
          b1 += x1 * b
          b2 += x2 * b
          b3 += x3 * b
        }
        weights[row * TILE + j] = a0
        weights[row1 * TILE + j] = a1
        weights[row2 * TILE + j] = a2
        weights[row3 * TILE + j] = a3
        weights[row * TILE + j + 1] = b0
        weights[row1 * TILE + j + 1] = b1
        weights[row2 * TILE + j + 1] = b2
        weights[row3 * TILE + j + 1] = b3
      }
    }
  }

  /** Turns a row's dot products into weights and carries its sums over to the new largest score. */
  #softmax(row: number, count: number, padded: number, scale: number): void {
    const weights = this.#weights
    const from = row * TILE
    const before = this.#max[row]
    let max = before
    for (let j = from; j < from + count; j++) {
      weights[j] *= scale
      // Math.max, unlike a comparison, keeps NaN.
      max = Math.max(max, weights[j])
    }
    weights.fill(0, from + count, from + padded)
    if (max === Number.NEGATIVE_INFINITY) {
      weights.fill(0, from, from + count)
      return
    }
    let sum = 0
    for (let j = from; j < from + count; j++) {
      weights[j] = Math.exp(weights[j] - max)
      sum += weights[j]
    }
    if (max !== before) {
      const shrink = Math.exp(before - max)
      const width = this.#valueDim
      for (let d = row * width; d < (row + 1) * width; d++) this.#acc[d] *= shrink
      this.#sum[row] *= shrink
      this.#max[row] = max
    }
    this.#sum[row] += sum
  }

  /** acc += weights · v, 2 rows by 4 keys at a time; where rows run out, the last is computed and stored twice. */
  #accumulate(keys: Float64Array, begin: number, end: number, count: number): void {
    const acc = this.#acc
    const weights = this.#weights
    const seen = this.#seen
    const headDim = this.#headDim
    const valueDim = this.#valueDim
    for (let row = begin; row < end; row += 2) {
      const next = Math.min(row + 1, end - 1)
      const x = row * valueDim
      const y = next * valueDim
      for (let j = 0; j < count; j += 4) {
        const wx = row * TILE + j
        const wy = next * TILE + j
        const x0 = weights[wx]
        const x1 = weights[wx + 1]
        const x2 = weights[wx + 2]
        const x3 = weights[wx + 3]
        const y0 = weights[wy]
        const y1 = weights[wy + 1]
        const y2 = weights[wy + 2]
        const y3 = weights[wy + 3]
        const k0 = seen[j] * headDim
        const k1 = seen[j + 1] * headDim
        const k2 = seen[j + 2] * headDim
        const k3 = seen[j + 3] * headDim
        for (let d = 0; d < valueDim; d++) {
          const v0 = keys[k0 + d]
          const v1 = keys[k1 + d]
          const v2 = keys[k2 + d]
          const v3 = keys[k3 + d]
          const sumX = acc[x + d] + x0 * v0 + x1 * v1 + x2 * v2 + x3 * v3
          const sumY = acc[y + d] + y0 * v0 + y1 * v1 + y2 * v2 + y3 * v3
          acc[x + d] = sumX
          acc[y + d] = sumY
        }
      }
    }
  }
}

function everything(): boolean {
  return true
}
