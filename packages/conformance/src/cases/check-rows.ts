import { type FloatDType, type HostArray, toFloat32 } from '@polymla/core'
import { type Comparison, compare } from '../compare.js'
import type { ExpectedRows } from '../oracle/rows.js'
import type { PathTolerance } from '../tolerances.js'
import { check } from './case.js'

/** Results of a decode on the host. */
export interface FoundRows {
  readonly queryTokens: number
  readonly heads: number
  readonly dtype: FloatDType
  /** [batch, queryTokens, heads, valueDim] */
  readonly out: HostArray
  /** [batch, heads, queryTokens]; null when it was not asked for. */
  readonly lse: HostArray<'f32'> | null
  /** Of a prefill, as lse. */
  readonly maxLogits?: HostArray<'f32'> | null
  /** 1 where a row sees no key, as lse. */
  readonly empty: Uint8Array
}

/** Checks every row for what needs no oracle, and the expected ones against it. */
export function checkRows(found: FoundRows, expected: ExpectedRows, tolerance: PathTolerance): Comparison[] {
  const { queryTokens, heads, out, lse } = found
  const { rows, valueDim } = expected
  const chosenOut = new Float32Array(rows.length * valueDim)
  const chosenLse = new Float32Array(rows.length)
  rows.forEach(({ request, token, head }, i) => {
    const at = ((request * queryTokens + token) * heads + head) * valueDim
    chosenOut.set(
      toFloat32(out.subarray(at, at + valueDim) as HostArray<FloatDType>, found.dtype),
      i * valueDim,
    )
    if (lse) chosenLse[i] = lse[(request * heads + head) * queryTokens + token]
  })
  const comparisons = [
    compare('out', expected.out, chosenOut, tolerance.out, (position) => {
      const { request, token, head } = rows[Math.floor(position / valueDim)]
      return [request, token, head, position % valueDim]
    }),
  ]
  if (lse) {
    comparisons.push(
      compare('lse', expected.lse, chosenLse, tolerance.lse, (i) => [
        rows[i].request,
        rows[i].head,
        rows[i].token,
      ]),
    )
  }
  if (found.maxLogits) {
    const { maxLogits } = found
    const chosen = Float32Array.from(
      rows,
      ({ request, token, head }) => maxLogits[(request * heads + head) * queryTokens + token],
    )
    const indexOf = (i: number) => [rows[i].request, rows[i].head]
    comparisons.push(compare('maxLogits', expected.maxLogits, chosen, tolerance.lse, indexOf))
  }
  // The oracle's findings say more than these; they come first when both fail.
  if (comparisons.every(({ passed }) => passed)) {
    checkFinite(out, found.dtype)
    checkZero(found, valueDim)
    if (lse) checkEmpty('lse', lse, found.empty, Number.POSITIVE_INFINITY)
    if (found.maxLogits) checkEmpty('maxLogits', found.maxLogits, found.empty, Number.NEGATIVE_INFINITY)
  }
  return comparisons
}

/** Exponent bits that are all set in infinities and NaN. */
const SPECIAL = { bf16: 0x7f80, f16: 0x7c00 } as const

/** Every output of finite inputs is finite, and every one is written. */
function checkFinite(out: HostArray, dtype: FloatDType): void {
  let i = 0
  if (dtype === 'bf16' || dtype === 'f16') {
    const mask = SPECIAL[dtype]
    while (i < out.length && (out[i] & mask) !== mask) i++
  } else {
    while (i < out.length && Number.isFinite(out[i])) i++
  }
  check(i === out.length, `out: element ${i} of ${out.length} is not finite, or was never written`)
}

/** What a row that sees no key attends to is exactly nothing. */
function checkZero({ queryTokens, heads, out, empty }: FoundRows, valueDim: number): void {
  empty.forEach((isEmpty, i) => {
    if (!isEmpty) return
    const [row, token] = [Math.floor(i / queryTokens), i % queryTokens]
    const at = ((Math.floor(row / heads) * queryTokens + token) * heads + (row % heads)) * valueDim
    for (let element = at; element < at + valueDim; element++) {
      if (out[element] !== 0) check(false, `out: element ${element} is of a row that sees no key: expected 0`)
    }
  })
}

function checkEmpty(name: string, values: HostArray<'f32'>, empty: Uint8Array, ifEmpty: number): void {
  for (let i = 0; i < values.length; i++) {
    const right = empty[i] ? values[i] === ifEmpty : Number.isFinite(values[i])
    check(
      right,
      `${name}: element ${i}: expected ${empty[i] ? ifEmpty : 'a finite number'}, found ${values[i]}`,
    )
  }
}
