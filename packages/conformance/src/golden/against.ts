import { type FloatDType, type HostArray, toFloat32 } from '@polymla/core'
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

/** Compares a device's results with FlashMLA's, within the tolerances of FlashMLA's own tests. */
export function againstFlashMla(
  expected: RecordedResults,
  found: RecordedResults,
  tolerance: PathTolerance,
): Comparison[] {
  return [
    compare('out', numbers(expected), numbers(found), tolerance.out, indexIn(expected.outShape)),
    ...perRow(expected, found, tolerance.lse),
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
