import { aligned, FREE, heap, kernels, reserve } from './kernels.js'
import type { KeyReader } from './key-rows.js'

/** What one query row attends to, in float64. */
export interface AttentionRow {
  /** [valueDim] */
  readonly out: Float64Array
  /** Natural log; +Infinity when nothing is visible. */
  readonly lse: number
  /** Largest scaled logit; −Infinity when nothing is visible. */
  readonly maxLogit: number
}

/** Which of so many made has its keys in the kernels' memory. */
let owner = 0
let made = 0

/**
 * Softmax attention of queries over chosen keys, straight from the definition: all logits, their largest, all weights,
 * then the sum of values. A key's first `valueDim` numbers are its value.
 */
export class Attention {
  readonly #keys: KeyReader
  readonly #valueDim: number
  readonly #id = ++made
  /** Addresses. */
  readonly #queries: number
  readonly #out: number
  #scores = 0
  #rows = 0
  #capacity = 0
  /** The row that lies in each place. */
  #held = new Int32Array(0)

  constructor(keys: KeyReader, valueDim: number) {
    this.#keys = keys
    this.#valueDim = valueDim
    this.#queries = FREE + keys.bytes
    this.#out = aligned(this.#queries + 16 * keys.headDim)
  }

  /**
   * One result per query.
   *
   * @param queries row-major, as wide as keys
   * @param rows which keys are visible; a key that occurs twice counts twice. Calls with the same rows in the same places
   *   do not read them again
   */
  attend(queries: Float64Array, rows: Int32Array, scale: number): AttentionRow[] {
    const width = this.#keys.headDim
    const count = queries.length / width
    if (rows.length === 0) {
      const out = () => new Float64Array(this.#valueDim)
      return Array.from({ length: count }, () => ({
        out: out(),
        lse: Number.POSITIVE_INFINITY,
        maxLogit: Number.NEGATIVE_INFINITY,
      }))
    }
    this.#load(rows)
    const results: AttentionRow[] = []
    for (let query = 0; query < count; query += 2) {
      const some = queries.subarray(query * width, Math.min(query + 2, count) * width)
      results.push(...this.#attendSome(some, rows.length, scale))
    }
    return results
  }

  /** Of one query or two. */
  #attendSome(queries: Float64Array, count: number, scale: number): AttentionRow[] {
    const width = this.#keys.headDim
    const dims = this.#valueDim
    const padded = Math.ceil(count / 4) * 4
    const both = queries.length > width
    heap.f64.set(queries, this.#queries / 8)
    const scores = both ? kernels.scores2 : kernels.scores1
    scores(this.#queries, this.#rows, width, padded, this.#scores)
    const found = [0, 1].slice(0, both ? 2 : 1).map((query) => {
      const begin = this.#scores / 8 + query * padded
      const result = softmax(heap.f64.subarray(begin, begin + count), scale)
      heap.f64.fill(0, begin + count, begin + padded)
      return result
    })
    const out = this.#out / 8
    heap.f64.fill(0, out, out + 2 * dims)
    const values = both ? kernels.values2 : kernels.values1
    values(this.#scores, this.#rows, width, padded, this.#out, dims)
    return found.map((result, query) => ({
      ...result,
      out: heap.f64.slice(out + query * dims, out + (query + 1) * dims),
    }))
  }

  /** Reads the keys that do not lie in their places yet. */
  #load(rows: Int32Array): void {
    const count = rows.length
    const rowBytes = 4 * this.#keys.headDim
    const padded = Math.ceil(count / 4) * 4
    if (owner !== this.#id || padded > this.#capacity) {
      this.#capacity = Math.max(padded, 2 * this.#capacity, 1024)
      this.#scores = aligned(this.#out + 16 * this.#valueDim)
      this.#rows = aligned(this.#scores + 16 * this.#capacity)
      reserve(this.#rows + rowBytes * this.#capacity)
      this.#held = new Int32Array(this.#capacity).fill(-1)
      if (owner !== this.#id) this.#keys.place(FREE)
      owner = this.#id
    }
    const held = this.#held
    for (let i = 0; i < count; i++) {
      if (held[i] === rows[i]) continue
      held[i] = rows[i]
      this.#keys.read(rows[i], this.#rows + i * rowBytes)
    }
    // Weights of 0 hide these, unless they are not finite.
    heap.f32.fill(0, (this.#rows + count * rowBytes) / 4, (this.#rows + padded * rowBytes) / 4)
    held.fill(-1, count, padded)
  }
}

/** Makes weights of dot products, in place. */
function softmax(scores: Float64Array, scale: number): Pick<AttentionRow, 'lse' | 'maxLogit'> {
  let maxLogit = Number.NEGATIVE_INFINITY
  for (let j = 0; j < scores.length; j++) {
    scores[j] *= scale
    maxLogit = Math.max(maxLogit, scores[j])
  }
  let sum = 0
  for (let j = 0; j < scores.length; j++) {
    scores[j] = Math.exp(scores[j] - maxLogit)
    sum += scores[j]
  }
  for (let j = 0; j < scores.length; j++) scores[j] /= sum
  return { lse: maxLogit + Math.log(sum), maxLogit }
}

/** A row whose head has a sink: one more logit, without a value. The lse stays as it is. */
export function applySink(row: AttentionRow, sink: number): AttentionRow {
  const seen = row.lse === Number.POSITIVE_INFINITY ? 0 : 1 / (1 + Math.exp(sink - row.lse))
  for (let i = 0; i < row.out.length; i++) row.out[i] *= seen
  return row
}
