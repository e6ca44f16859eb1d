import type { Options } from 'tsup'

/** What every package's build has in common: ESM and declarations for Node 20 and newer. */
export const base: Options = {
  format: 'esm',
  target: 'node20',
  dts: true,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
  silent: true,
}
