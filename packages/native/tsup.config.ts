import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

// The addon under dist/native is built apart and may be in use.
export default defineConfig({
  ...base,
  clean: ['!native/**'],
  entry: { index: 'src/index.ts', 'probe-child': 'src/isolated/probe-child.mjs' },
  dts: { entry: 'src/index.ts' },
})
