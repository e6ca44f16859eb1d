import type { Tolerance } from './tolerances.js'

/** A number as JSON can hold it. */
type Shown = number | 'NaN' | 'Infinity' | '-Infinity'

/** How one result differs from what was expected. */
export interface Comparison {
  /** Name of the tensor. */
  readonly tensor: string
  readonly passed: boolean
  /** Elements compared. */
  readonly elements: number
  /** Largest |found − expected| and largest |found − expected| / (|expected| + 1e-6), over finite pairs. */
  readonly maxAbsolute: number
  readonly maxRelative: number
  /** 1 − 2·x·y / (x² + y²) over finite pairs. */
  readonly cosine: number
  /** ‖found − expected‖ / ‖expected‖ over finite pairs. */
  readonly relativeNorm: number
  /** The element that breaks its bounds most, or that comes closest to it; null when nothing was compared. */
  readonly worst: {
    readonly index: readonly number[]
    readonly expected: Shown
    readonly found: Shown
  } | null
  /** What is wrong, in words; null when passed. */
  readonly message: string | null
}

/**
 * Compares element by element: infinities and NaN must coincide; all else within `tolerance`.
 *
 * @param indexOf turns a position into the tensor's index, for the report
 * @param slack what each element may be off beyond its tolerance, absolutely
 */
export function compare(
  tensor: string,
  expected: ArrayLike<number>,
  found: ArrayLike<number>,
  tolerance: Tolerance,
  indexOf: (position: number) => readonly number[] = (position) => [position],
  slack?: ArrayLike<number>,
): Comparison {
  const { absolute, relative, cosine: cosineBound = Number.POSITIVE_INFINITY } = tolerance
  let maxAbsolute = 0
  let maxRelative = 0
  let worst = -1
  let worstScore = -1
  let failures = 0
  let dot = 0
  let squares = 0
  let expectedSquares = 0
  let errorSquares = 0
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]
    const f = found[i]
    let score: number
    if (Number.isFinite(e) && Number.isFinite(f)) {
      const error = Math.abs(f - e)
      const ratio = error / (Math.abs(e) + 1e-6)
      if (error > maxAbsolute) maxAbsolute = error
      if (ratio > maxRelative) maxRelative = ratio
      const counted = Math.max(error - (slack?.[i] ?? 0), 0)
      score = Math.min(counted / absolute, counted / (Math.abs(e) + 1e-6) / relative)
      dot += e * f
      squares += e * e + f * f
      expectedSquares += e * e
      errorSquares += error * error
    } else {
      score = Object.is(e, f) ? 0 : Number.POSITIVE_INFINITY
    }
    if (score >= 1) failures++
    if (score > worstScore) {
      worst = i
      worstScore = score
    }
  }
  const cosine = squares === 0 ? 0 : 1 - (2 * dot) / squares
  const relativeNorm = errorSquares === 0 ? 0 : Math.sqrt(errorSquares / expectedSquares)
  const index = worst < 0 ? [] : indexOf(worst)
  const message =
    failures > 0
      ? `${tensor}: ${failures} of ${expected.length} elements out of bounds, the worst at [${index.join(', ')}]: ` +
        `expected ${expected[worst]}, found ${found[worst]}`
      : cosine >= cosineBound
        ? `${tensor}: cosine difference ${cosine.toExponential(2)}, expected less than ${cosineBound}`
        : null
  return {
    tensor,
    passed: message === null,
    elements: expected.length,
    maxAbsolute,
    maxRelative,
    cosine,
    relativeNorm: Number.isFinite(relativeNorm) ? relativeNorm : Number.MAX_VALUE,
    worst: worst < 0 ? null : { index, expected: shown(expected[worst]), found: shown(found[worst]) },
    message,
  }
}

/** Compares bit for bit; `maxAbsolute` and the like stay 0 or tell the numeric difference of the raw elements. */
export function compareBits(
  tensor: string,
  expected: ArrayLike<number>,
  found: ArrayLike<number>,
  indexOf: (position: number) => readonly number[] = (position) => [position],
): Comparison {
  let failures = Math.abs(expected.length - found.length)
  let worst = -1
  let maxAbsolute = 0
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(expected[i], found[i])) continue
    failures++
    if (worst < 0) worst = i
    maxAbsolute = Math.max(maxAbsolute, Math.abs(expected[i] - found[i]) || 0)
  }
  const index = worst < 0 ? [] : indexOf(worst)
  const first =
    worst < 0
      ? `expected ${expected.length}, found ${found.length} of them`
      : `the first at [${index.join(', ')}]: expected ${expected[worst]}, found ${found[worst]}`
  return {
    tensor,
    passed: failures === 0,
    elements: expected.length,
    maxAbsolute: Math.min(maxAbsolute, Number.MAX_VALUE),
    maxRelative: 0,
    cosine: 0,
    relativeNorm: 0,
    worst: worst < 0 ? null : { index, expected: shown(expected[worst]), found: shown(found[worst]) },
    message:
      failures === 0
        ? null
        : `${tensor}: ${failures} of ${expected.length} elements differ in their bits, ${first}`,
  }
}

/** The index, in a tensor of this shape, of a row-major position. */
export function indexIn(shape: readonly number[]): (position: number) => number[] {
  return (position) => {
    const index = new Array<number>(shape.length)
    let rest = position
    for (let dim = shape.length - 1; dim >= 0; dim--) {
      index[dim] = rest % shape[dim]
      rest = Math.floor(rest / shape[dim])
    }
    return index
  }
}

function shown(value: number): Shown {
  return Number.isFinite(value) ? value : (String(value) as Shown)
}

/** Compares all elements at once: infinities and NaN must coincide, and ‖found − expected‖ / ‖expected‖ ≤ bound. */
export function compareNorm(
  tensor: string,
  expected: ArrayLike<number>,
  found: ArrayLike<number>,
  bound: number,
  indexOf?: (position: number) => readonly number[],
): Comparison {
  const unbounded = { absolute: Number.POSITIVE_INFINITY, relative: Number.POSITIVE_INFINITY }
  const all = compare(tensor, expected, found, unbounded, indexOf)
  if (!all.passed || all.relativeNorm <= bound) return all
  const message = `${tensor}: relative 2-norm of the error ${all.relativeNorm.toExponential(2)}, expected at most ${bound}`
  return { ...all, passed: false, message }
}
