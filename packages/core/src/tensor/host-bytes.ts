import { asHostArray, type DType, itemSize } from '../dtype/index.js'
import { invalidArgument, inWords } from '../errors.js'

/**
 * The bytes of host data for `count` elements of a dtype. Only the array type that stands for the dtype is taken, or raw
 * bytes in a `Uint8Array`: numbers are never mistaken for bits.
 */
export function hostBytes(path: string, data: ArrayBufferView, dtype: DType, count: number): Uint8Array {
  const array = data instanceof Uint8Array ? data : asHostArray(dtype, data, path)
  const bytes = count * itemSize(dtype)
  if (array.byteLength !== bytes) {
    throw invalidArgument(
      path,
      `${count} elements of ${dtype} (${bytes} bytes)`,
      inWords(`${array.byteLength} bytes`),
    )
  }
  // A detached buffer passes for an empty array, but cannot be viewed.
  return bytes === 0 ? new Uint8Array(0) : new Uint8Array(array.buffer, array.byteOffset, bytes)
}
