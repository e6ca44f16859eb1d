import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { loadFailed } from './load-failed.js'

const GROUP_OR_WORLD_WRITABLE = 0o022n
/** On a directory: entries belong to their owners, although others may add some. */
const STICKY = 0o1000n

/**
 * Refuses a library that another user of the machine could have written, or could put something else in the place of:
 * it belongs to root or to the current user, and neither it nor a directory above it is writable by group or world.
 * `path` is canonical. Without POSIX users there is nothing to check.
 */
export async function checkOwnership(path: string, file: BigIntStats): Promise<void> {
  const user = process.geteuid?.()
  if (user === undefined) return
  if (file.uid !== 0n && file.uid !== BigInt(user)) {
    const fix = `Make it yours: chown ${user} ${path}`
    throw loadFailed(path, `a file of root or of user ${user}`, `one of user ${file.uid}`, fix)
  }
  refuseWritable(path, path, file.mode)
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode } = await stat(folder, { bigint: true })
    if ((mode & STICKY) === 0n) refuseWritable(path, folder, mode)
    if (folder === dirname(folder)) return
  }
}

function refuseWritable(library: string, path: string, mode: bigint): void {
  if ((mode & GROUP_OR_WORLD_WRITABLE) === 0n) return
  const what = path === library ? 'it' : path
  const found = `mode ${(mode & 0o7777n).toString(8)}`
  throw loadFailed(library, `${what} to be writable by its owner only`, found, `Run chmod go-w ${path}`)
}
