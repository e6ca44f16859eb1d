import { invalidArgument } from '../errors.js'
import type { FloatDType, HostArray } from './dtype.js'
import { asHostArray, hostArray } from './dtype.js'
import { decodeBf16, E4M3_VALUES, encodeBf16, encodeE4m3, encodeF16, F16_VALUES } from './small-float.js'

/** The number that a raw element of `dtype` stands for; exact. For `f32` the element is the number. Throws as {@link toBits}. */
export function fromBits(bits: number, dtype: FloatDType): number {
  switch (dtype) {
    case 'f32':
      return bits
    case 'f16':
      return F16_VALUES[bits]
    case 'bf16':
      return decodeBf16(bits)
    case 'e4m3':
      return E4M3_VALUES[bits]
    default:
      throw notFloat(dtype)
  }
}

/**
 * The raw element of `dtype` nearest to `value`: one rounding from float64, ties to even. NaN stays NaN, the sign
 * of zero is kept, subnormals are not flushed. Overflow gives ±infinity, for `e4m3` (which has none) ±448.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when `dtype` names no float dtype.
 */
export function toBits(value: number, dtype: FloatDType): number {
  switch (dtype) {
    case 'f32':
      return Math.fround(value)
    case 'f16':
      return encodeF16(value)
    case 'bf16':
      return encodeBf16(value)
    case 'e4m3':
      return encodeE4m3(value)
    default:
      throw notFloat(dtype)
  }
}

/**
 * Decodes `count` elements of `src` from `srcOffset` into `dst` from `dstOffset`.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when a range leaves its array.
 */
export function decodeInto(
  src: HostArray<FloatDType>,
  srcOffset: number,
  dst: Float32Array | Float64Array,
  dstOffset: number,
  count: number,
  dtype: FloatDType,
): void {
  checkRange('src', src.length, srcOffset, count)
  checkRange('dst', dst.length, dstOffset, count)
  switch (dtype) {
    case 'f32':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = src[srcOffset + i]
      return
    case 'f16':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = F16_VALUES[src[srcOffset + i]]
      return
    case 'bf16':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = decodeBf16(src[srcOffset + i])
      return
    case 'e4m3':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = E4M3_VALUES[src[srcOffset + i]]
      return
    default:
      throw notFloat(dtype)
  }
}

/**
 * Encodes `count` numbers of `src` from `srcOffset` into `dst` from `dstOffset`, each rounded as by {@link toBits}.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when a range leaves its array.
 */
export function encodeInto(
  src: ArrayLike<number>,
  srcOffset: number,
  dst: HostArray<FloatDType>,
  dstOffset: number,
  count: number,
  dtype: FloatDType,
): void {
  checkRange('src', src.length, srcOffset, count)
  checkRange('dst', dst.length, dstOffset, count)
  switch (dtype) {
    case 'f32':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = src[srcOffset + i]
      return
    case 'f16':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = encodeF16(src[srcOffset + i])
      return
    case 'bf16':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = encodeBf16(src[srcOffset + i])
      return
    case 'e4m3':
      for (let i = 0; i < count; i++) dst[dstOffset + i] = encodeE4m3(src[srcOffset + i])
      return
    default:
      throw notFloat(dtype)
  }
}

/**
 * A new array of the numbers that raw elements of `dtype` stand for; exact.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when `bits` is not the host array of `dtype`, or `dtype` no float dtype.
 */
export function toFloat32<D extends FloatDType>(bits: HostArray<D>, dtype: D): Float32Array {
  const elements = asHostArray<FloatDType>(dtype, bits, 'bits')
  const values = new Float32Array(elements.length)
  decodeInto(elements, 0, values, 0, elements.length, dtype)
  return values
}

/**
 * A new host array of `dtype` holding `values`, each rounded as by {@link toBits}. Float64 input rounds once.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when `values` is not an array of numbers, or `dtype` no float dtype.
 */
export function fromFloat32<D extends FloatDType>(values: ArrayLike<number>, dtype: D): HostArray<D> {
  if (typeof values?.length !== 'number') throw invalidArgument('values', 'an array of numbers', values)
  const bits = hostArray(dtype, values.length)
  encodeInto(values, 0, bits, 0, values.length, dtype)
  return bits
}

function notFloat(dtype: never): Error {
  return invalidArgument('dtype', 'one of f32, f16, bf16, e4m3', dtype)
}

function checkRange(path: string, length: number, offset: number, count: number): void {
  const inside = Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(count) && count >= 0
  if (!inside || offset + count > length) {
    throw invalidArgument(`${path}.length`, `${count} elements from offset ${offset}`, length)
  }
}
