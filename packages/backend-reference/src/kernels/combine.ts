/**
 * Weights that combine partial states over disjoint keys into one, with L the largest lse:
 *
 *     weights[p] = exp(lse[p] − L) / Σ exp(lse[p] − L),   lse = L + ln Σ exp(lse[p] − L)
 *
 * A part that saw nothing has lse −Infinity and weight 0.
 *
 * @returns lse; −Infinity when no part saw anything
 */
export function combine(lse: Float64Array, weights: Float64Array): number {
  const largest = lse.reduce((max, part) => Math.max(max, part), Number.NEGATIVE_INFINITY)
  weights.fill(0)
  if (largest === Number.NEGATIVE_INFINITY) return largest
  let sum = 0
  for (let part = 0; part < lse.length; part++) {
    weights[part] = Math.exp(lse[part] - largest)
    sum += weights[part]
  }
  for (let part = 0; part < lse.length; part++) weights[part] /= sum
  return largest + Math.log(sum)
}
