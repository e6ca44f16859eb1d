// Adds the GPU tests to bundle/, so that they run where there is a GPU and a bare node, after `pnpm bundle` and
// `pnpm build:oracle`:
//
//   node --test bundle/dist/gpu-*.js

import { cp, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const root = fileURLToPath(new URL('..', import.meta.url))
const hopper = join(root, 'packages/backend-cuda-hopper')
const out = join(root, 'bundle/dist')

for (const name of await readdir(out)) if (name.startsWith('gpu-')) await rm(join(out, name))
const tests = (await readdir(join(hopper, 'src/gpu'))).filter((name) => name.endsWith('.test.ts'))
await build({
  config: false,
  entry: Object.fromEntries(
    tests.map((name) => [`gpu-${basename(name, '.test.ts')}`, join(hopper, 'src/gpu', name)]),
  ),
  outDir: out,
  format: 'esm',
  target: 'node20',
  platform: 'node',
  noExternal: [/./],
  splitting: false,
  removeNodeProtocol: false,
  silent: true,
  esbuildOptions(options) {
    options.alias = { vitest: join(root, 'scripts/vitest-on-node.mjs') }
  },
  banner: {
    js: "import { createRequire as bundleRequire } from 'node:module'\nconst require = bundleRequire(import.meta.url)",
  },
})
const oracle = 'libpolymla_cuda_oracle.so'
await cp(join(hopper, 'build', oracle), join(out, oracle))
