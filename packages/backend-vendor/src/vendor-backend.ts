import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Backend } from '@polymla/core'
import { nativeBackend } from '@polymla/native'

/** From dist, which holds the libraries, or from src beside it. */
const FOLDERS = ['./native/', '../dist/native/'].map((folder) =>
  fileURLToPath(new URL(`${folder}${process.platform}-${process.arch}/`, import.meta.url)),
)

/** Where this package's build puts its library for a vendor. */
function ownLibrary(id: string): string {
  const candidates = FOLDERS.map((folder) => `${folder}libpolymla_${id}.so`)
  return candidates.find((path) => existsSync(path)) ?? candidates[0]
}

/** A backend over the library that this package's build made of the portable kernels for a vendor. */
export function portable(id: string): Backend {
  return nativeBackend({ name: id, library: ownLibrary(id), origin: 'package' })
}
