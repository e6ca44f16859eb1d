import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'

const AT_SECURE = 23n

/**
 * Whether this process has rights that who started it has not (set-user-ID, file capabilities). Its environment is
 * then somebody else's, and paths in it must not choose what gets executed. Linux says so in the auxiliary vector
 * (getauxval(3), AT_SECURE), which only such a process may be unable to read.
 */
export function isSecureProcess(auxiliaryVector = '/proc/self/auxv'): boolean {
  const changedIds = process.geteuid?.() !== process.getuid?.() || process.getegid?.() !== process.getgid?.()
  if (process.platform !== 'linux' || changedIds) return changedIds
  let bytes: Buffer
  try {
    bytes = readFileSync(auxiliaryVector)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
  // Pairs of words: type and value.
  const word = /64|s390x/.test(process.arch) ? 8 : 4
  const little = endianness() === 'LE'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = (at: number) =>
    word === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint32(at, little))
  for (let at = 0; at + 2 * word <= bytes.length; at += 2 * word) {
    if (read(at) === AT_SECURE) return read(at + word) !== 0n
  }
  return false
}
