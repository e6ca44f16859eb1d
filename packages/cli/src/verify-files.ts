import { type VerifiedFile, verifyFile } from '@polymla/conformance'
import type { Device } from '@polymla/core'
import { readNamed } from './files.js'
import type { Io } from './io.js'
import { startProgress } from './progress.js'

export interface FileReport extends VerifiedFile {
  readonly file: string
}

export interface NamedBytes {
  readonly file: string
  readonly bytes: Uint8Array
}

/** Throws a usage error for a file that cannot be read. */
export function readFiles(files: readonly string[]): Promise<NamedBytes[]> {
  return Promise.all(files.map(async (file) => ({ file, bytes: await readNamed('FILE', file) })))
}

/** Runs every case of golden files on a device. */
export async function verifyFiles(
  io: Io,
  device: Device,
  files: readonly NamedBytes[],
): Promise<FileReport[]> {
  const progress = startProgress(io)
  try {
    const verified: FileReport[] = []
    for (const { file, bytes } of files) {
      const report = await verifyFile(device, bytes, {
        onProgress: ({ name }, done, total) => progress.at(done, total, name),
        signal: io.signal,
      })
      verified.push({ file, ...report })
    }
    return verified
  } finally {
    progress.stop()
  }
}

/** Whether something was verified and nothing disagreed; what a device refuses was not verified. */
export function allAgree(verified: readonly FileReport[]): boolean {
  return verified.every(({ passed, failed, skipped }) => passed > 0 && failed === 0 && skipped === 0)
}
