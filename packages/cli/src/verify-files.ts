import { type VerifiedFile, verifyFile } from '@polymla/conformance'
import type { Device } from '@polymla/core'
import { readNamed } from './files.js'
import type { Io } from './io.js'
import { startProgress } from './progress.js'

export interface FileReport extends VerifiedFile {
  readonly file: string
}

/** Runs every case of golden files on a device. Throws a usage error for a file that cannot be read. */
export async function verifyFiles(io: Io, device: Device, files: readonly string[]): Promise<FileReport[]> {
  const contents = await Promise.all(files.map((file) => readNamed('FILE', file)))
  const progress = startProgress(io)
  try {
    const verified: FileReport[] = []
    for (const [i, file] of files.entries()) {
      const report = await verifyFile(device, contents[i], {
        onProgress: ({ name }, done, total) => progress.at(done, total, name),
        ...(io.signal ? { signal: io.signal } : {}),
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
