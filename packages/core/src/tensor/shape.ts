import { invalidArgument } from '../errors.js'

/** Number of elements; 1 for a scalar's empty shape. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const extent of shape) count *= extent
  return count
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride *= shape[i]
  }
  return strides
}

/** Whether the elements lie row-major without gaps. Extents of 1 may have any stride; an empty shape always does. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true
  let expected = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false
    expected *= shape[i]
  }
  return true
}

/** Elements from the first to one past the last that a view reaches; 0 for an empty one. */
export function elementSpan(shape: readonly number[], strides: readonly number[]): number {
  let last = 0
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 0) return 0
    last += (shape[i] - 1) * strides[i]
  }
  return last + 1
}

/** Checks extents (integers ≥ 0) and that elements and row-major strides stay exact. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function checkShape(path: string, shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape)) throw invalidArgument(path, 'an array of extents', shape)
  for (const [i, extent] of shape.entries()) {
    if (!Number.isSafeInteger(extent) || extent < 0) {
      throw invalidArgument(`${path}[${i}]`, 'an integer ≥ 0', extent)
    }
  }
  if (!Number.isSafeInteger(elementCount(shape.map((extent) => Math.max(extent, 1))))) {
    throw invalidArgument(path, 'at most 2^53 − 1 elements', shape)
  }
  return Object.freeze([...shape])
}

/** Checks one stride per extent: integers ≥ 0, the last 1. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function checkStrides(shape: readonly number[], strides: readonly number[]): readonly number[] {
  if (!Array.isArray(strides) || strides.length !== shape.length) {
    throw invalidArgument('strides', `${shape.length} strides`, strides)
  }
  for (const [i, stride] of strides.entries()) {
    const last = i === shape.length - 1
    if (!Number.isSafeInteger(stride) || stride < 0 || (last && stride !== 1)) {
      throw invalidArgument(`strides[${i}]`, last ? '1' : 'an integer ≥ 0', stride)
    }
  }
  return Object.freeze([...strides])
}
