import { invalidArgument, PolymlaError, withArticle } from '../errors.js'

/**
 * Element types.
 *
 * | dtype | element | host array |
 * | --- | --- | --- |
 * | `f32` | IEEE 754 binary32 | `Float32Array` |
 * | `f16` | IEEE 754 binary16, raw bits | `Uint16Array` |
 * | `bf16` | bfloat16, raw bits | `Uint16Array` |
 * | `e4m3` | 8-bit float of OCP FP8, the variant without infinities (±448, NaN 0x7F and 0xFF), raw bits | `Uint8Array` |
 * | `i32` | signed 32-bit integer | `Int32Array` |
 * | `u8` | byte, the unit of packed KV cache formats | `Uint8Array` |
 *
 * Bytes are little-endian, as on every device and in every file this library meets.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'e4m3' | 'i32' | 'u8'

/** The dtypes that hold real numbers. */
export type FloatDType = Exclude<DType, 'i32' | 'u8'>

interface HostArrays {
  f32: Float32Array
  f16: Uint16Array
  bf16: Uint16Array
  e4m3: Uint8Array
  i32: Int32Array
  u8: Uint8Array
}

/** The typed array that holds elements of dtype `D` on the host. */
export type HostArray<D extends DType = DType> = HostArrays[D]

/** What uploads take for elements of dtype `D`: their host array, their bytes, or a `Float16Array` for f16. */
export type HostData<D extends DType = DType> =
  | HostArray<D>
  | Uint8Array
  | (D extends 'f16' ? ArrayBufferView & { readonly [Symbol.toStringTag]: 'Float16Array' } : never)

const CONSTRUCTORS = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  e4m3: Uint8Array,
  i32: Int32Array,
  u8: Uint8Array,
} as const

/** Every dtype, in documentation order. */
export const DTYPES = Object.freeze(Object.keys(CONSTRUCTORS)) as readonly DType[]

/** True when `value` names a dtype. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(CONSTRUCTORS, value)
}

/** Bytes per element. Throws `POLYMLA_INVALID_ARGUMENT` for what is no dtype. */
export function itemSize(dtype: DType): number {
  return constructorOf(dtype).BYTES_PER_ELEMENT
}

function constructorOf<D extends DType>(dtype: D): (typeof CONSTRUCTORS)[D] {
  if (!isDType(dtype)) throw invalidArgument('dtype', `one of ${DTYPES.join(', ')}`, dtype)
  return CONSTRUCTORS[dtype]
}

/** A zero-filled host array of `length` elements. Throws `POLYMLA_OUT_OF_MEMORY` for more than the host gives. */
export function hostArray<D extends DType>(dtype: D, length: number): HostArray<D>
/**
 * A host view of `length` elements of `buffer`, starting at `byteOffset`.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when the view is misaligned or leaves the buffer.
 */
export function hostArray<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): HostArray<D>
export function hostArray<D extends DType>(
  dtype: D,
  source: number | ArrayBufferLike,
  byteOffset = 0,
  length = 0,
): HostArray<D> {
  const Constructor = constructorOf(dtype)
  if (typeof source === 'number') {
    checkCount('length', source)
    try {
      return new Constructor(source) as HostArray<D>
    } catch (cause) {
      throw new PolymlaError('POLYMLA_OUT_OF_MEMORY', `no host memory for ${source} elements of ${dtype}`, {
        cause,
      })
    }
  }
  checkCount('byteOffset', byteOffset)
  checkCount('length', length)
  const size = itemSize(dtype)
  if (byteOffset % size !== 0) throw invalidArgument('byteOffset', `a multiple of ${size}`, byteOffset)
  const end = byteOffset + length * size
  if (end > source.byteLength)
    throw invalidArgument('buffer.byteLength', `at least ${end}`, source.byteLength)
  return new Constructor(source as ArrayBuffer, byteOffset, length) as HostArray<D>
}

/**
 * Checks that `value` is the host array of `dtype` and returns it. Where the runtime has `Float16Array`, one is
 * accepted for `f16` and comes back as its bits, without a copy.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` for anything else; `path` names the argument in the message.
 */
export function asHostArray<D extends DType>(dtype: D, value: unknown, path: string): HostArray<D> {
  const { name } = constructorOf(dtype)
  // The tag is read rather than the constructor, so that arrays of another realm pass too.
  const tag = ArrayBuffer.isView(value) ? (value as unknown as HostArray)[Symbol.toStringTag] : undefined
  if (tag === name) return value as HostArray<D>
  if (dtype === 'f16' && (tag as string) === 'Float16Array') {
    const bits = value as Uint16Array
    return new Uint16Array(bits.buffer, bits.byteOffset, bits.length) as HostArray<D>
  }
  throw invalidArgument(path, `${withArticle(name)} (${dtype})`, value)
}

function checkCount(path: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw invalidArgument(path, 'a non-negative integer', value)
}
