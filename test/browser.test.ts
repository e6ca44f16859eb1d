import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { expect, it } from 'vitest'

it('core can be bundled for browsers, with the backends that it looks for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'polymla-'))
  try {
    await build({
      config: false,
      entry: [fileURLToPath(new URL('../packages/core/dist/index.js', import.meta.url))],
      outDir: folder,
      format: 'esm',
      platform: 'browser',
      splitting: false,
      noExternal: [/./],
      silent: true,
    })
    const bundle = await readFile(join(folder, 'index.js'), 'utf8')
    expect(bundle).toContain('this runtime has no worker threads')
    expect(bundle).not.toMatch(/['"]node:/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
