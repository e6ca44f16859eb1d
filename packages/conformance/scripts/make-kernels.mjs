// Compiles ../assembly/attend.ts to WebAssembly, into ../src/oracle/kernels-code.ts. Needs npm: the compiler is large, and
// nothing else uses it.
//
//   node packages/conformance/scripts/make-kernels.mjs

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const COMPILER = 'assemblyscript@0.28.20'
const FLAGS = ['-O3', '--enable', 'simd', '--runtime', 'stub', '--noAssert', '--importMemory']

const source = fileURLToPath(new URL('../assembly/attend.ts', import.meta.url))
const target = fileURLToPath(new URL('../src/oracle/kernels-code.ts', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'kernels-'))
try {
  const compiled = join(work, 'attend.wasm')
  execFileSync('npx', ['-y', '-p', COMPILER, 'asc', source, ...FLAGS, '-o', compiled], { stdio: 'inherit' })
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex')
  const lines = readFileSync(compiled, 'base64').match(/.{1,100}/g)
  writeFileSync(
    target,
    [
      '// Made by scripts/make-kernels.mjs.',
      '',
      '/** SHA-256 of assembly/attend.ts, which this was compiled from. */',
      `export const SOURCE_HASH = '${hash}'`,
      '',
      '/** The module, in base64. */',
      'export const CODE = [',
      ...lines.map((line) => `  '${line}',`),
      "].join('')",
      '',
    ].join('\n'),
  )
} finally {
  rmSync(work, { recursive: true })
}
