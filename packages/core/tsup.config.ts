import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({
  ...base,
  entry: { index: 'src/index.ts', 'flash-mla/index': 'src/flash-mla/index.ts' },
  platform: 'neutral',
})
