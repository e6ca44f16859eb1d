import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { buildTestPlugins } from '../../native/test-plugins/build.mjs'

const addon = fileURLToPath(
  new URL(`../../native/dist/native/${process.platform}-${process.arch}/polymla.node`, import.meta.url),
)
const built = buildTestPlugins()

/** Why libraries cannot be loaded here; null when they can. */
export const notRunnable: string | null =
  'reason' in built ? built.reason : existsSync(addon) ? null : 'the addon is not built'

export const suite = (name: string): string => (notRunnable ? `${name} (${notRunnable})` : name)

/** The path of a test plugin of packages/native/test-plugins. */
export const pluginPath = (plugin: string): string =>
  join('folder' in built ? built.folder : '', `${plugin}.so`)

/** A folder that only this test's user can write to; removed after the tests of the file. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'polymla-port-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A manifest for this machine. */
export const manifestFor = (change: object = {}) => ({
  manifest: 1,
  name: 'acme',
  devices: 'Acme GPUs',
  abi: '1.0',
  library: 'lib/libpolymla_acme.so',
  platform: process.platform,
  arch: process.arch,
  ...change,
})

/** Writes a port, a manifest and a copy of a test plugin as its library, into a folder. */
export function writePort(
  folder: string,
  plugin: string,
  change: object = {},
): { manifest: string; library: string } {
  const library = join(folder, 'lib/libpolymla_acme.so')
  const manifest = join(folder, 'polymla.json')
  mkdirSync(dirname(library), { recursive: true })
  copyFileSync(pluginPath(plugin), library)
  writeFileSync(manifest, JSON.stringify(manifestFor(change)))
  return { manifest, library }
}

/** Writes a port as the package `@polymla/vendor-<name>-…` into a node_modules; the file that it is looked up from. */
export function installPort(name: string, plugin: string, change: object = {}, exported = true): string {
  const folder = makeFolder()
  const id = `@polymla/vendor-${name}-${process.platform}-${process.arch}`
  const home = join(folder, 'node_modules', id)
  mkdirSync(home, { recursive: true })
  const sha256 = createHash('sha256')
    .update(readFileSync(pluginPath(plugin)))
    .digest('hex')
  writePort(home, plugin, { name, sha256, ...change })
  const exports = {
    './package.json': './package.json',
    ...(exported && { './polymla.json': './polymla.json' }),
  }
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: id, version: '1.0.0', exports }))
  return join(folder, 'app.js')
}
