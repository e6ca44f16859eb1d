import { PolymlaError } from '@polymla/core'
import type { FileDType } from './dtypes.js'
import { FILE_DTYPES, fileItemSize, isFileDType } from './dtypes.js'
import { PREFIX } from './header.js'
import { shown } from './malformed.js'

/** A tensor to be written; `data` may be any view whose bytes are the elements. */
export interface TensorToWrite {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly data: ArrayBufferView
}

/**
 * The bytes of a safetensors file. The same input gives the same bytes: tensors are laid out by falling element
 * size, then by name, so that every one is aligned.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` for an unknown dtype, a reserved name, or data that do not fit their shape.
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, TensorToWrite>> | ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries = [...(tensors instanceof Map ? tensors : Object.entries(tensors))] as [
    string,
    TensorToWrite,
  ][]
  for (const [name, tensor] of entries) checkTensor(name, tensor)
  entries.sort(
    ([a, { dtype: left }], [b, { dtype: right }]) =>
      fileItemSize(right) - fileItemSize(left) || (a < b ? -1 : 1),
  )

  let end = 0
  const members = entries.map(([name, { dtype, shape, data }]) => {
    const begin = end
    end += data.byteLength
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`
  })
  if (Object.keys(metadata).length > 0) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`)
  const text = new TextEncoder().encode(`{${members.join(',')}}`)
  const dataStart = PREFIX + Math.ceil(text.length / 8) * 8

  const file = new Uint8Array(dataStart + end).fill(0x20, PREFIX, dataStart)
  new DataView(file.buffer).setBigUint64(0, BigInt(dataStart - PREFIX), true)
  file.set(text, PREFIX)
  let at = dataStart
  for (const [, { data }] of entries) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return file
}

function checkTensor(name: string, { dtype, shape, data }: TensorToWrite): void {
  const path = `tensors[${shown(name)}]`
  if (name === '__metadata__') throw refused(path, 'another name, as this one is reserved', shown(name))
  if (!isFileDType(dtype)) throw refused(`${path}.dtype`, `one of ${FILE_DTYPES.join(', ')}`, shown(dtype))
  const bytes = shape.reduce((product, extent) => product * extent, fileItemSize(dtype))
  if (data.byteLength !== bytes || shape.some((extent) => !Number.isSafeInteger(extent) || extent < 0)) {
    throw refused(`${path}.data`, `the bytes of ${dtype} ${shown(shape)}`, `${data.byteLength} bytes`)
  }
}

function refused(path: string, expected: string, found: string): PolymlaError {
  return new PolymlaError('POLYMLA_INVALID_ARGUMENT', `${path}: expected ${expected}, found ${found}`, {
    path,
    expected,
    found,
  })
}
