import { statSync } from 'node:fs'
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path'
import { invalidArgument } from '@polymla/core'
import { libraryOf, MANIFEST_FILE, readManifest } from './manifest.js'
import type { Source } from './source.js'

/** A plugin as code names it. */
export interface VendorPlugin {
  /** Absolute path of a library, of a manifest, or of the folder that has one. */
  readonly path: string
  /** The part of device ids before the colon. Default: the manifest's, or `NAME` of `libpolymla_NAME.so`. */
  readonly name?: string
  /** SHA-256 of the library. Default: the manifest's. */
  readonly sha256?: string
}

/** Names that belong to backends of their own. */
const TAKEN = ['cpu', 'cuda', 'reference', 'vendor']

/** The entries of `POLYMLA_VENDOR_PLUGIN`: `PATH` or `NAME=PATH`, with `:` between them. */
export function pluginsIn(variable: string): VendorPlugin[] {
  return variable
    .split(delimiter)
    .filter((entry) => entry !== '')
    .map((entry) => {
      const [, name, path] = /^([^=/\\]*)=(.*)$/s.exec(entry) ?? []
      return name === undefined ? { path: entry } : { name, path }
    })
}

/**
 * Decides what a plugin is called and where its library is, without loading any of it. `where` names it in errors.
 *
 * Throws `POLYMLA_INVALID_ARGUMENT`, and what {@link readManifest} throws.
 */
export function locatePlugin(plugin: VendorPlugin, where: string): Source {
  const { path, name: given, sha256 } = plugin
  if (typeof path !== 'string' || !isAbsolute(path)) {
    throw invalidArgument(where, 'the absolute path of a library, a manifest or its folder', path)
  }
  const found = manifestAt(path)
  if (found) {
    const manifest = readManifest(found)
    const name = checkName(given ?? manifest.name, where)
    return {
      name,
      library: libraryOf(found, manifest),
      origin: 'user',
      ids: manifest.ids ?? 'numbered',
      manifest,
      ...sha(sha256 ?? manifest.sha256),
    }
  }
  const name = checkName(given ?? nameIn(path), where)
  return { name, library: path, origin: 'user', ids: 'numbered', ...sha(sha256) }
}

const sha = (sha256: string | undefined) => (sha256 === undefined ? {} : { sha256 })

/** Ports keep their library at most that many folders below the manifest. */
const MAX_DEPTH = 3

/** The manifest that a path is, or whose folder it is, or that is about the library that it is. */
function manifestAt(path: string): string | null {
  if (path.endsWith('.json')) return path
  if (isFolder(path)) return join(path, MANIFEST_FILE)
  for (let folder = dirname(path), depth = 0; depth < MAX_DEPTH; folder = dirname(folder), depth++) {
    const manifest = join(folder, MANIFEST_FILE)
    if (isFile(manifest) && libraryOf(manifest, readManifest(manifest)) === path) return manifest
  }
  return null
}

function nameIn(path: string): string | undefined {
  return /^libpolymla_([a-z][a-z0-9_]*)\.(so|dylib)$/.exec(basename(path))?.[1].replaceAll('_', '-')
}

function checkName(name: string | undefined, where: string): string {
  if (name === undefined) {
    throw invalidArgument(
      where,
      'a library called libpolymla_NAME.so, or its name before it as in NAME=PATH',
      name,
    )
  }
  if (!/^[a-z][a-z0-9-]*$/.test(name) || TAKEN.includes(name)) {
    const rule = 'a name of lower-case letters, digits and -'
    throw invalidArgument(where, `${rule} other than ${TAKEN.join(', ')}`, name)
  }
  return name
}

const isFolder = (path: string) => statsOf(path)?.isDirectory() ?? false
const isFile = (path: string) => statsOf(path)?.isFile() ?? false

/** Undefined where there is nothing, also below something that is no folder: Node 20 throws there. */
function statsOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw error
  }
}
