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
  /** null when it is not installed. */
  readonly version: string | null
}

/** First-party packages and the versions that can be loaded from here; none in a bundle, which has no packages. */
export function findPackages(): InstalledPackage[] {
  const found = PACKAGES.map((short) => ({
    name: `@polymla/${short}`,
    version: versionOf(`@polymla/${short}`),
  }))
  return found.some(({ version }) => version !== null) ? found : []
}

function versionOf(name: string): string | null {
  try {
    const manifest = readFileSync(createRequire(import.meta.url).resolve(`${name}/package.json`), 'utf8')
    return (JSON.parse(manifest) as { version: string }).version
  } catch {
    return null
  }
}
