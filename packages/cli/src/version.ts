import { readFileSync } from 'node:fs'

/** Version of the package, or of the bundle, that this code runs from. */
export function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
