import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { isPolymlaError } from '@polymla/core'
import { checkElf } from './check-elf.js'
import { ByteReader } from './elf/byte-reader.js'
import { loadFailed } from './load-failed.js'
import { checkOwnership } from './ownership.js'

export interface CheckOptions {
  /** What the file must hash to, in hexadecimal. */
  readonly sha256?: string
  /**
   * Where the path comes from. `user` (the environment, or code): the file must be safe from other users of the
   * machine. `package`: it lies in the package that names it, where whoever can write can change our JavaScript too,
   * so ownership tells nothing.
   */
  readonly origin: 'package' | 'user'
}

/**
 * Decides whether a shared library may be loaded, without executing any of it: where it lies and to whom it belongs,
 * its hash, and what its ELF headers say of machine, ABI version, entry and dependencies. Where libraries are not ELF,
 * the last of these is left to the system.
 *
 * @param path absolute path of the library.
 * @returns the canonical path, which is the one to load.
 * @throws `POLYMLA_BACKEND_LOAD_FAILED` for whatever is in the way, `POLYMLA_API_VERSION` for another major version of
 * the ABI. Both name the path, what was expected, what was found and what to do.
 */
export async function checkLibrary(path: string, options: CheckOptions): Promise<{ path: string }> {
  if (!isAbsolute(path)) {
    throw loadFailed(path, 'an absolute path', 'a relative one', 'Give the whole path of the library')
  }
  try {
    const canonical = await realpath(path)
    // Canonical, so not a link; and a FIFO must not make us wait for a writer.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    const handle = await open(canonical, flags)
    try {
      await checkOpened(canonical, handle, options)
    } finally {
      await handle.close()
    }
    return { path: canonical }
  } catch (error) {
    if (isPolymlaError(error)) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const found = code === 'ENOENT' ? 'nothing there' : message
    throw loadFailed(path, 'a readable file', found, 'Install or build the library, or correct the path')
  }
}

/** Everything is read from one descriptor, so that it is one file that all checks are about. */
async function checkOpened(
  path: string,
  handle: FileHandle,
  { sha256, origin }: CheckOptions,
): Promise<void> {
  const stats = await handle.stat({ bigint: true })
  if (!stats.isFile()) {
    const found = stats.isDirectory() ? 'a directory' : 'a special file'
    throw loadFailed(path, 'a regular file', found, 'Give the path of the library itself')
  }
  if (origin === 'user') await checkOwnership(path, stats)
  if (sha256 !== undefined) {
    const found = await hash(handle)
    if (found !== sha256.toLowerCase()) {
      throw loadFailed(path, `sha256 ${sha256}`, found, 'Reinstall the package that it belongs to')
    }
  }
  if (process.platform === 'linux') checkElf(ByteReader.ofFile(path, handle.fd))
}

async function hash(handle: FileHandle): Promise<string> {
  const sum = createHash('sha256')
  for await (const chunk of handle.createReadStream({ start: 0, autoClose: false })) sum.update(chunk)
  return sum.digest('hex')
}
