import { gunzipSync } from 'node:zlib'
import type { HostArray } from '@polymla/core'
import { hostArray, itemSize, PolymlaError } from '@polymla/core'
import type { FileDType } from './dtypes.js'
import { coreDType } from './dtypes.js'
import { readHeader } from './header.js'
import { malformed } from './malformed.js'

export interface SafetensorsTensor {
  /** As the file spells it. */
  readonly dtype: FileDType
  readonly shape: readonly number[]
  /** The tensor's bytes, little-endian, row-major: a view of the file. */
  readonly data: Uint8Array
}

export interface SafetensorsFile {
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>
}

/**
 * Reads a safetensors file, gzip'd or not, without copying tensor data.
 *
 * @param limit - most bytes that a gzip'd file may unfold to; default 2^30
 * @throws `POLYMLA_INVALID_ARGUMENT` when anything in the file breaks the format's rules. Files are not trusted: a
 * header that lies about lengths, shapes or offsets is refused before any tensor is made.
 */
export function readSafetensors(bytes: Uint8Array, limit = 2 ** 30): SafetensorsFile {
  const content = isGzip(bytes) ? inflate(bytes, limit) : bytes
  // A Buffer's slices would share memory where those of a Uint8Array are copies.
  const file = new Uint8Array(content.buffer, content.byteOffset, content.length)
  const { entries, metadata, dataStart } = readHeader(file)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, data: file.subarray(dataStart + begin, dataStart + end) })
  }
  return { tensors, metadata }
}

/**
 * The elements of a tensor as the host array of the library's dtype for them; a view of the file where alignment
 * allows, else a copy.
 *
 * @throws `POLYMLA_UNSUPPORTED` for a file dtype that the library has no dtype for, such as `I64`.
 */
export function tensorElements(tensor: SafetensorsTensor): HostArray {
  const dtype = coreDType(tensor.dtype)
  if (!dtype) {
    throw new PolymlaError('POLYMLA_UNSUPPORTED', `tensors of dtype ${tensor.dtype} cannot be computed with`)
  }
  const size = itemSize(dtype)
  const data = tensor.data.byteOffset % size === 0 ? tensor.data : tensor.data.slice()
  return hostArray(dtype, data.buffer, data.byteOffset, data.length / size)
}

/** The ninth byte tells gzip's flags from the brace that opens a header whose length happens to look like gzip. */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8 && bytes[8] !== 0x7b
}

function inflate(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit })
  } catch (cause) {
    const tooLarge = (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    const found = tooLarge ? 'more' : (cause as Error).message
    throw malformed('file', tooLarge ? `at most ${limit} bytes once unfolded` : 'gzip data', found, cause)
  }
}
