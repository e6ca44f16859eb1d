import { ByteReader } from './byte-reader.js'

/** A reader over bytes in memory that tells how many were asked for. */
export function readerOf(
  bytes: Uint8Array,
  path = '/lib/x.so',
): { reader: ByteReader; bytesRead: () => number } {
  let bytesRead = 0
  const reader = new ByteReader(path, BigInt(bytes.length), (target, position) => {
    const part = bytes.subarray(Number(position), Number(position) + target.length)
    target.set(part)
    bytesRead += part.length
    return part.length
  })
  return { reader, bytesRead: () => bytesRead }
}
