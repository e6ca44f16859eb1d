/** What one query row attends to, in float64. */
export interface AttentionRow {
  /** [valueDim] */
  readonly out: Float64Array
  /** Natural log; +Infinity when nothing is visible. */
  readonly lse: number
  /** Largest scaled logit; −Infinity when nothing is visible. */
  readonly maxLogit: number
}

/**
 * Softmax attention of one query over some rows of `keys`, straight from the definition: all logits, their largest,
 * all weights, then the sum of values. A key's first `valueDim` numbers are its value.
 *
 * @param keys row-major, rows as wide as q
 * @param rows which rows are visible; a row that occurs twice counts twice
 */
export function attend(
  q: Float64Array,
  keys: Float32Array,
  rows: ArrayLike<number>,
  valueDim: number,
  scale: number,
): AttentionRow {
  const width = q.length
  const count = rows.length
  const out = new Float64Array(valueDim)
  if (count === 0) return { out, lse: Number.POSITIVE_INFINITY, maxLogit: Number.NEGATIVE_INFINITY }

  const weights = new Float64Array(count + 3)
  let maxLogit = Number.NEGATIVE_INFINITY
  for (let j = 0; j < count; j++) {
    const key = rows[j] * width
    // Four sums do not wait for each other; head dims are multiples of 16.
    let [s0, s1, s2, s3] = [0, 0, 0, 0]
    for (let i = 0; i < width; i += 4) {
      s0 += q[i] * keys[key + i]
      s1 += q[i + 1] * keys[key + i + 1]
      s2 += q[i + 2] * keys[key + i + 2]
      s3 += q[i + 3] * keys[key + i + 3]
    }
    weights[j] = (s0 + s1 + (s2 + s3)) * scale
    maxLogit = Math.max(maxLogit, weights[j])
  }
  let sum = 0
  for (let j = 0; j < count; j++) {
    weights[j] = Math.exp(weights[j] - maxLogit)
    sum += weights[j]
  }
  // Four values at a time take half the time; where keys run out, the last has the weight 0 as well.
  for (let j = 0; j < count; j += 4) {
    const [a, b, c, d] = [0, 1, 2, 3].map((n) => rows[Math.min(j + n, count - 1)] * width)
    const [wa, wb, wc, wd] = [0, 1, 2, 3].map((n) => weights[j + n] / sum)
    for (let i = 0; i < valueDim; i++) {
      out[i] += wa * keys[a + i] + wb * keys[b + i] + wc * keys[c + i] + wd * keys[d + i]
    }
  }
  return { out, lse: maxLogit + Math.log(sum), maxLogit }
}

/** out of a row whose head has a sink: one more logit, without a value. The lse stays as it is. */
export function applySink(row: AttentionRow, sink: number): AttentionRow {
  const seen = row.lse === Number.POSITIVE_INFINITY ? 0 : 1 / (1 + Math.exp(sink - row.lse))
  return { ...row, out: row.out.map((value) => value * seen) }
}
