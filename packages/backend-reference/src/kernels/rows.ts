import { decodeInto, encodeInto, type FloatDType, type HostArray } from '@polymla/core'
import { type View, vector } from '../view.js'

/** Reads the numbers along a tensor's last dimension. */
export function readRow(view: View, dst: Float64Array, at: number, ...index: number[]): void {
  const row = vector(view, ...index) as HostArray<FloatDType>
  decodeInto(row, 0, dst, at, row.length, view.dtype as FloatDType)
}

/** Writes the numbers along a tensor's last dimension, each rounded once. */
export function writeRow(view: View, src: Float64Array, ...index: number[]): void {
  const row = vector(view, ...index) as HostArray<FloatDType>
  encodeInto(src, 0, row, 0, row.length, view.dtype as FloatDType)
}

/** Scales a row's output by what the sink leaves of it, 1 / (1 + exp(sink − lse)); a row that saw nothing stays 0. */
export function applySink(sink: View | null, head: number, values: Float64Array, lse: number): void {
  if (!sink || lse === Number.NEGATIVE_INFINITY) return
  const left = 1 / (1 + Math.exp(vector(sink)[head] - lse))
  for (let d = 0; d < values.length; d++) values[d] *= left
}

/** lse as callers see it: +Infinity, not −Infinity, for a row that saw nothing. */
export function publicLse(lse: number): number {
  return lse === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : lse
}
