import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const PACKAGES = [
  'core',
  'backend-reference',
  'conformance',
  'native',
  'backend-cpu',
  'backend-cuda-hopper',
  'backend-vendor',
] as const

export interface InstalledPackage {
  readonly name: string
  /** null when it is not installed, or when it is part of a bundle. */
  readonly version: string | null
}

/** First-party packages that can be loaded from here, and their versions. */
export function findPackages(): InstalledPackage[] {
  const { resolve } = createRequire(import.meta.url)
  return PACKAGES.map((short) => {
    const name = `@polymla/${short}`
    try {
      const manifest = readFileSync(resolve(`${name}/package.json`), 'utf8')
      return { name, version: (JSON.parse(manifest) as { version: string }).version }
    } catch {
      return { name, version: null }
    }
  })
}
