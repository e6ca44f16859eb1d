import { decodeBf16, E4M3_VALUES, encodeBf16, encodeE4m3 } from '../dtype/small-float.js'

/** Rows of numbers that caches are read into and written from. */
export type Row = Float32Array | Float64Array

const E4M3_MAX = 448
const SMALLEST_EXPONENT = -126
const LARGEST_EXPONENT = 127

const double = new Float64Array(1)
const doubleWords = new Uint32Array(double.buffer)

const single = new Float32Array(1)
const singleBytes = new Uint8Array(single.buffer)

/** Largest finite magnitude among `length` numbers; 0 when there is none. */
export function largestMagnitude(src: Row, from: number, length: number): number {
  let largest = 0
  for (let i = from; i < from + length; i++) {
    const magnitude = Math.abs(src[i])
    if (magnitude > largest && magnitude < Number.POSITIVE_INFINITY) largest = magnitude
  }
  return largest
}

/**
 * Exponent of the smallest power of two that brings numbers up to `magnitude` into e4m3's range, within those of normal
 * fp32 numbers and of e8m0. Powers of two also survive kernels that keep scales in bf16.
 */
export function scaleExponent(magnitude: number): number {
  double[0] = magnitude / E4M3_MAX
  const isPower = doubleWords[0] === 0 && (doubleWords[1] & 0xfffff) === 0
  const exponent = (doubleWords[1] >>> 20) - 1023 + (isPower ? 0 : 1)
  return Math.min(Math.max(exponent, SMALLEST_EXPONENT), LARGEST_EXPONENT)
}

/** Decodes `length` e4m3 bytes, times `scale`. */
export function readE4m3(
  bytes: Uint8Array,
  at: number,
  length: number,
  scale: number,
  dst: Row,
  to: number,
): void {
  for (let i = 0; i < length; i++) dst[to + i] = E4M3_VALUES[bytes[at + i]] * scale
}

/** Encodes `length` numbers, divided by `scale`, as e4m3 bytes. */
export function writeE4m3(
  src: Row,
  from: number,
  length: number,
  scale: number,
  bytes: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < length; i++) bytes[at + i] = encodeE4m3(src[from + i] / scale)
}

/** Decodes `length` bf16 numbers from bytes of any alignment. */
export function readBf16(bytes: Uint8Array, at: number, length: number, dst: Row, to: number): void {
  for (let i = 0; i < length; i++) {
    dst[to + i] = decodeBf16(bytes[at + 2 * i] | (bytes[at + 2 * i + 1] << 8))
  }
}

/** Encodes `length` numbers as bf16, to bytes of any alignment. */
export function writeBf16(src: Row, from: number, length: number, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < length; i++) {
    const bits = encodeBf16(src[from + i])
    bytes[at + 2 * i] = bits
    bytes[at + 2 * i + 1] = bits >> 8
  }
}

/** The fp32 number at a byte of any alignment. */
export function readF32(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < 4; i++) singleBytes[i] = bytes[at + i]
  return single[0]
}

/** Writes an fp32 number to a byte of any alignment. */
export function writeF32(value: number, bytes: Uint8Array, at: number): void {
  single[0] = value
  for (let i = 0; i < 4; i++) bytes[at + i] = singleBytes[i]
}
