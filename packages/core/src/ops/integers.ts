import { asHostArray } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import { Tensor } from '../tensor/tensor.js'

/** 32-bit integers that lie on the host, where core checks their values, or on the device, where it cannot. */
export type Integers = Int32Array | readonly number[] | Tensor<'i32'>

/**
 * The host's form, checked to be int32; null when the integers lie on the device. Shared memory is copied: it could
 * change between a check and its use.
 */
export function hostIntegers(path: string, given: Integers): Int32Array | null {
  if (given instanceof Tensor) return null
  if (ArrayBuffer.isView(given)) {
    const array = asHostArray('i32', given, path)
    return array.buffer instanceof ArrayBuffer ? array : array.slice()
  }
  if (!Array.isArray(given)) {
    throw invalidArgument(path, 'an Int32Array, an array of integers or an i32 tensor', given)
  }
  for (let i = 0; i < given.length; i++) {
    const value: unknown = given[i]
    if (typeof value !== 'number' || (value | 0) !== value) {
      throw invalidArgument(`${path}[${i}]`, 'a 32-bit integer', value)
    }
  }
  return Int32Array.from(given)
}
