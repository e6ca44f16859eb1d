import { decodeInto, encodeInto, type FloatDType, type HostArray } from '@polymla/core'
import { type View, vector } from '../view.js'

/** Reads the numbers along a tensor's last dimension. */
export function readRow(view: View, dst: Float64Array, at: number, ...index: number[]): void {
  const row = vector(view, ...index)
  decodeInto(row as HostArray<FloatDType>, 0, dst, at, row.length, view.dtype as FloatDType)
}

/** Writes the numbers along a tensor's last dimension, each rounded once. */
export function writeRow(view: View, src: Float64Array, ...index: number[]): void {
  const row = vector(view, ...index)
  encodeInto(src, 0, row as HostArray<FloatDType>, 0, row.length, view.dtype as FloatDType)
}

/** What the sink leaves of a row's output: 1 / (1 + exp(sink − lse)); 1 without a sink. */
export function sinkGate(sink: View | null, head: number, lse: number): number {
  return sink ? 1 / (1 + Math.exp(vector(sink)[head] - lse)) : 1
}

/** lse as callers see it: +Infinity for a row that saw nothing. */
export function publicLse(lse: number): number {
  return lse === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : lse
}
