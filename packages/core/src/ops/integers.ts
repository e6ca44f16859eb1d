import { invalidArgument } from '../errors.js'
import { Tensor } from '../tensor/tensor.js'

/** 32-bit integers that lie on the host, where core checks their values, or on the device, where it cannot. */
export type Integers = Int32Array | readonly number[] | Tensor<'i32'>

/** The host's form, checked to be int32; null when the integers lie on the device. */
export function hostIntegers(path: string, given: Integers): Int32Array | null {
  if (given instanceof Tensor) return null
  if (given instanceof Int32Array) return given
  if (!Array.isArray(given)) {
    throw invalidArgument(path, 'an Int32Array, an array of integers or an i32 tensor', given)
  }
  const values = Int32Array.from(given)
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== given[i]) throw invalidArgument(`${path}[${i}]`, 'a 32-bit integer', given[i])
  }
  return values
}
