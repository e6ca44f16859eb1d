import { type FloatDType, fromFloat32, type HostArray, hostArray } from '@polymla/core'

/** Entries of a {@link normalTable}: 12 bits of a draw choose one, and a table stays in the first-level cache. */
const TABLE_BITS = 12

/**
 * Seeded random numbers (Chris Doty-Humphrey's sfc32). Equal seeds and labels give equal streams on every platform;
 * speed matters because cases fill hundreds of megabytes.
 */
export class Random {
  readonly #state = new Uint32Array(4)

  constructor(seed: number, label = '') {
    let hash = (seed ^ 0x811c9dc5) >>> 0
    for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193) >>> 0
    this.#state.set([hash, seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 1])
    for (let i = 0; i < 16; i++) this.bits()
  }

  /** 32 uniform bits, as an unsigned integer. */
  bits(): number {
    const s = this.#state
    const result = (s[0] + s[1] + s[3]) >>> 0
    s[3]++
    s[0] = s[1] ^ (s[1] >>> 9)
    s[1] = s[2] + (s[2] << 3)
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + result
    return result
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.bits() / 2 ** 32
  }

  /** Uniform integer in [min, max]. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.uniform() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.uniform() < probability
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)]
  }

  /** The integers [0, count) in random order. */
  permutation(count: number): Int32Array {
    const order = new Int32Array(count)
    for (let i = 0; i < count; i++) {
      const j = this.integer(0, i)
      order[i] = order[j]
      order[j] = i
    }
    return order
  }

  /** Fills elements [begin, end) with draws from a table: raw elements of the table's dtype. */
  fill<A extends HostArray>(target: A, table: A, begin = 0, end = target.length): void {
    const shift = 32 - TABLE_BITS
    let x = this.bits() | 1
    let i = begin
    for (; i + 1 < end; i += 2) {
      // One draw of Marsaglia's xorshift32 serves two elements.
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      target[i] = table[x >>> shift]
      target[i + 1] = table[(x << TABLE_BITS) >>> shift]
    }
    if (i < end) target[i] = table[this.bits() >>> shift]
  }
}

const tables = new Map<string, HostArray>()

/** Equally likely values of N(0, sigma), clamped to ±clamp and rounded to a dtype: what {@link Random.fill} draws. */
export function normalTable<D extends FloatDType>(dtype: D, sigma: number, clamp = 10 * sigma): HostArray<D> {
  const key = `${dtype} ${sigma} ${clamp}`
  const known = tables.get(key)
  if (known) return known as HostArray<D>
  const length = 2 ** TABLE_BITS
  const values = Float64Array.from({ length }, (_, i) => {
    const value = sigma * normalQuantile((i + 0.5) / length)
    return Math.min(Math.max(value, -clamp), clamp)
  })
  const table = fromFloat32(values, dtype)
  tables.set(key, table)
  return table
}

/** A new array of `count` draws from N(0, sigma), clamped. */
export function normalArray<D extends FloatDType>(
  random: Random,
  dtype: D,
  count: number,
  sigma: number,
  clamp?: number,
): HostArray<D> {
  const array = hostArray(dtype, count)
  random.fill<HostArray>(array, normalTable(dtype, sigma, clamp))
  return array
}

/** Inverse of the normal distribution by bisection of its integral: slow, and called 2,048 times per table. */
function normalQuantile(probability: number): number {
  if (probability > 0.5) return -normalQuantile(1 - probability)
  let low = -6
  let high = 0
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2
    if (normalIntegral(middle) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** P(X < x) for x ≤ 0, absolute error below 1e-7 (Abramowitz and Stegun 26.2.17). */
function normalIntegral(x: number): number {
  const t = 1 / (1 - 0.2316419 * x)
  const polynomial =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * polynomial
}
