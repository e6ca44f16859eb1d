import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { invalidArgument, inWords, PolymlaError } from '@polymla/core'
import { libraryOf, MANIFEST_FILE, readManifest } from './manifest.js'
import type { Source } from './source.js'

/** Where this package's own build puts libraries: from dist, or from src beside it. */
const FOLDERS = ['./native/', '../dist/native/'].map((folder) =>
  fileURLToPath(new URL(`${folder}${process.platform}-${process.arch}/`, import.meta.url)),
)

/** The library that this package's build made for a vendor, or would. */
export function builtLibrary(name: string): string {
  const candidates = FOLDERS.map((folder) => `${folder}libpolymla_${name}.so`)
  return candidates.find((path) => existsSync(path)) ?? candidates[0]
}

/** The name under which a vendor's port for this platform is looked for among installed packages. */
function packageOf(name: string): string {
  return `@polymla/vendor-${name}-${process.platform}-${process.arch}`
}

/** Files that installed packages are looked up from: the program, then this package. */
export function lookupRoots(): string[] {
  const program = process.argv[1]
  const roots = [fileURLToPath(import.meta.url)]
  try {
    if (program) roots.unshift(realpathSync(program))
  } catch {
    // `node -e` and the like have no file.
  }
  return roots
}

/**
 * The port of a vendor that is installed as a package, by its exported manifest; null when none is. Only that one name
 * is looked up: nothing scans folders.
 *
 * Throws what is wrong with the package; see {@link readManifest}.
 */
export function installedPort(name: string, roots: readonly string[]): Source | null {
  const id = packageOf(name)
  for (const root of roots) {
    let path: string
    try {
      path = createRequire(root).resolve(`${id}/${MANIFEST_FILE}`)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'MODULE_NOT_FOUND' && message.includes(id)) continue
      throw new PolymlaError('POLYMLA_BACKEND_LOAD_FAILED', `${id} does not export ${MANIFEST_FILE}`, {
        path: id,
        fix: `Add "./${MANIFEST_FILE}": "./${MANIFEST_FILE}" to the exports of its package.json, or update it`,
        cause: error,
      })
    }
    return sourceIn(path, name)
  }
  return null
}

function sourceIn(path: string, name: string): Source {
  const manifest = readManifest(path)
  if (manifest.name !== name) throw invalidArgument(`${path}: name`, JSON.stringify(name), manifest.name)
  const { sha256, ids = 'numbered' } = manifest
  if (sha256 === undefined) {
    const fix = 'Seal the package: the port kit does it by npm run seal'
    throw invalidArgument(
      `${path}: sha256`,
      'the SHA-256 of its library, as it is a package',
      inWords('nothing'),
      fix,
    )
  }
  return { name, library: libraryOf(path, manifest), origin: 'package', ids, sha256, manifest }
}
