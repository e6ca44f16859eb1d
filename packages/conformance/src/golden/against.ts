import { type FloatDType, fromFloat32, type HostArray, toFloat32 } from '@polymla/core'
import { type Comparison, compare, compareNorm, indexIn } from '../compare.js'
import { FLOAT64, type PathTolerance } from '../tolerances.js'
import type { RecordedResults } from './recorded.js'

/** Compares a device's results with those of float64 arithmetic: `out` as a whole, lse and max logits one by one. */
export function againstFloat64(expected: RecordedResults, found: RecordedResults): Comparison[] {
  const bound = FLOAT64.out[found.out.dtype as keyof typeof FLOAT64.out]
  return [
    compareNorm('out', numbers(expected), numbers(found), bound, indexIn(expected.outShape)),
    ...perRow(expected, found, FLOAT64.lse),
  ]
}

/**
 * Compares a device's results with FlashMLA's, within the tolerances of FlashMLA's own tests. Where inputs are larger
 * than in those tests, FlashMLA's error from float64 exceeds them in a few elements in 10,000. A device does not answer
 * for that: an element in which even the float64 result, rounded to the output's dtype, is out of FlashMLA's bounds may
 * be off by that much more. No other gets any slack.
 */
export function againstFlashMla(
  recorded: { readonly float64: RecordedResults; readonly flashMla: RecordedResults },
  found: RecordedResults,
  tolerance: PathTolerance,
): Comparison[] {
  const expected = numbers(recorded.flashMla)
  const dtype = found.out.dtype as FloatDType
  const exact = toFloat32(fromFloat32(numbers(recorded.float64), dtype), dtype)
  const { absolute, relative } = tolerance.out
  const excess = expected.map((value, i) => {
    const error = Math.abs(value - exact[i])
    return error < absolute || error < relative * (Math.abs(value) + 1e-6) ? 0 : error
  })
  const indexOf = indexIn(recorded.flashMla.outShape)
  return [
    compare('out', expected, numbers(found), tolerance.out, indexOf, excess),
    ...perRow(recorded.flashMla, found, tolerance.lse),
  ]
}

function perRow(
  expected: RecordedResults,
  found: RecordedResults,
  tolerance: PathTolerance['lse'],
): Comparison[] {
  const indexOf = indexIn(expected.lseShape)
  const comparisons = [compare('lse', expected.lse, found.lse, tolerance, indexOf)]
  if (expected.maxLogits && found.maxLogits) {
    comparisons.push(compare('maxLogits', expected.maxLogits, found.maxLogits, tolerance, indexOf))
  }
  return comparisons
}

function numbers({ out }: RecordedResults): Float32Array {
  return toFloat32(out.bits as HostArray<FloatDType>, out.dtype)
}
