import { rm } from 'node:fs/promises'
import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

// The two builds run side by side into one folder, so neither may clean it.
export default defineConfig(async () => {
  await rm('dist', { recursive: true, force: true })
  return [
    { ...base, clean: false, entry: ['src/index.ts', 'src/register.ts', 'src/browser.ts'] },
    // Loaded by path as a worker thread, also from a bundle without node_modules: one file that needs no other.
    {
      ...base,
      clean: false,
      dts: false,
      splitting: false,
      entry: ['src/worker.ts'],
      noExternal: [/^@polymla\//],
    },
  ]
})
