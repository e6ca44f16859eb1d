import {
  type DType,
  encodeInto,
  type FloatDType,
  type HostArray,
  hostArray,
  itemSize,
  type KvLayout,
  storageDType,
  storageLength,
  storageShape,
  storageStrides,
  toFloat32,
  writeToken,
} from '@polymla/core'
import { expect } from 'vitest'
import type { View, Viewed } from '../view.js'
import type { Kernel } from './kernel.js'

/** Runs a kernel on this thread. */
export function runKernel<P, A>(kernel: Kernel<P, A>, problem: P, args: Viewed<A>): void {
  for (const { units, run } of kernel) {
    for (let unit = 0; unit < units(problem, args); unit++) run(problem, args, unit)
  }
}

/** A row-major tensor; all bytes are 0xFF, NaN in every float dtype, unless values are given. */
export function tensor(dtype: DType, shape: readonly number[], values?: ArrayLike<number>): View {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1))
  const length = shape.reduce((product, size) => product * size, 1)
  const memory = new SharedArrayBuffer(length * itemSize(dtype))
  new Uint8Array(memory).fill(0xff)
  const view = { dtype, shape, strides, memory, byteOffset: 0 }
  const elements = elementsOf(view)
  if (!values) return view
  if (dtype === 'i32') elements.set(Int32Array.from(values))
  else encodeInto(values, 0, elements as HostArray<FloatDType>, 0, length, dtype as FloatDType)
  return view
}

export function elementsOf({ dtype, memory, byteOffset }: View): HostArray {
  return hostArray(dtype, memory, byteOffset, (memory.byteLength - byteOffset) / itemSize(dtype))
}

/** The numbers of a contiguous float tensor. */
export function numbers(view: View): number[] {
  return [...toFloat32(elementsOf(view) as HostArray<FloatDType>, view.dtype as FloatDType)]
}

/** A cache of NaN bytes. */
export function cacheTensor(layout: KvLayout): View {
  const dtype = storageDType(layout)
  return {
    ...tensor(dtype, [storageLength(layout)]),
    shape: storageShape(layout),
    strides: storageStrides(layout),
  }
}

/** Writes one key and returns what the format keeps of it. */
export function writeKey(
  layout: KvLayout,
  cache: View,
  token: number,
  head: number,
  key: Float64Array,
  scale = 1,
): void {
  const offset = token % layout.pageSize
  writeToken(layout, elementsOf(cache), (token - offset) / layout.pageSize, offset, head, key, 0, scale)
}

/** Numbers in [−1, 1) that every float dtype but e4m3 holds exactly; the same for the same seed. */
export function randomNumbers(seed: number, length: number): Float64Array {
  let state = (seed + 1) * 0x9e3779b1
  return Float64Array.from({ length }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5
    return ((state >>> 24) - 128) / 128
  })
}

/** The formula, term by term. `keys` are those that the row sees. */
export function formula(
  q: ArrayLike<number>,
  keys: readonly ArrayLike<number>[],
  valueDim: number,
  scale: number,
): { out: number[]; lse: number } {
  const scores = keys.map((k) => scale * Array.from(k).reduce((sum, x, d) => sum + x * q[d], 0))
  if (keys.length === 0) return { out: Array(valueDim).fill(0), lse: Number.POSITIVE_INFINITY }
  const largest = Math.max(...scores)
  const lse = largest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0))
  const out = Array.from({ length: valueDim }, (_, d) =>
    keys.reduce((sum, k, j) => sum + Math.exp(scores[j] - lse) * k[d], 0),
  )
  return { out, lse }
}

/** Equal within 1e-6, relative to numbers larger than 1; infinities and signs of them exactly. */
export function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found.length).toBe(wanted.length)
  const at = found.findIndex((x, i) => {
    const difference = Math.abs(x - wanted[i])
    return x !== wanted[i] && !(difference <= 1e-6 * Math.max(1, Math.abs(wanted[i])))
  })
  expect(at < 0 ? null : { at, found: found[at], wanted: wanted[at] }).toBeNull()
}

/** The formula with a sink: out scaled by 1 / (1 + exp(sink − lse)). */
export function sinkFormula(
  q: ArrayLike<number>,
  keys: readonly ArrayLike<number>[],
  valueDim: number,
  scale: number,
  sink: number,
): { out: number[]; lse: number } {
  const { out, lse } = formula(q, keys, valueDim, scale)
  const left = keys.length === 0 ? 0 : 1 / (1 + Math.exp(sink - lse))
  return { out: out.map((x) => x * left), lse }
}
