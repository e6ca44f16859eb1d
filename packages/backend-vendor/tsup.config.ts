import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

// The library under dist/native is built apart and may be in use.
export default defineConfig({
  ...base,
  clean: ['!native/**'],
  entry: ['src/index.ts'],
})
