// Writes bundle/: the command line tool and every backend as one folder that a bare `node` runs, without npm, without a
// network and without node_modules. It has the layout of a package: dist/ holds the code, and each package's
// `bundle.assets` (worker scripts, fixtures, native libraries) lie where that package keeps them, so that paths taken
// relative to `import.meta.url` hold here as they do in an installed package.
//
//   node bundle devices

import { existsSync, readdirSync, statSync } from 'node:fs'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = join(root, 'bundle')

const readManifest = async (folder) => JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))

await rm(out, { recursive: true, force: true })

const cli = join(root, 'packages/cli')
await build({
  config: false,
  entry: { main: join(cli, 'src/main.ts') },
  outDir: join(out, 'dist'),
  format: 'esm',
  target: 'node20',
  platform: 'node',
  noExternal: [/./],
  splitting: false,
  removeNodeProtocol: false,
  silent: true,
  // CommonJS dependencies ask for Node's own modules through `require`, which an ES module does not have.
  banner: {
    js: "import { createRequire as bundleRequire } from 'node:module'\nconst require = bundleRequire(import.meta.url)",
  },
})

/** The files at a path inside a package: itself, or what a folder holds. */
function filesOf(folder, path) {
  if (!statSync(join(folder, path)).isDirectory()) return [path]
  return readdirSync(join(folder, path)).flatMap((name) => filesOf(folder, join(path, name)))
}

const owners = new Map()
for (const name of await readdir(join(root, 'packages'))) {
  const folder = join(root, 'packages', name)
  if (!existsSync(join(folder, 'package.json'))) continue
  const manifest = await readManifest(folder)
  for (const asset of (manifest.bundle?.assets ?? []).flatMap((path) => filesOf(folder, path))) {
    if (owners.has(asset))
      throw new Error(`${manifest.name} and ${owners.get(asset)} both have the asset ${asset}`)
    owners.set(asset, manifest.name)
    await cp(join(folder, asset), join(out, asset))
  }
}

const { name, version, license, engines } = await readManifest(cli)
const manifest = {
  name: `${name}-bundle`,
  version,
  license,
  private: true,
  type: 'module',
  main: 'dist/main.js',
  engines,
}
await writeFile(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
await cp(join(root, 'LICENSE'), join(out, 'LICENSE'))
