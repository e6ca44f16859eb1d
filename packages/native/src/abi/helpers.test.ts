import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { anyCompiler, compileAndRun } from './compilers.js'

const folder = mkdtempSync(join(tmpdir(), 'polymla-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** The address sanitizer, where the compiler has its runtime: it sees bytes read beyond a struct. */
function sanitizers(compiler: string): string[] {
  const flags = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  const source = join(folder, 'empty.c')
  writeFileSync(source, 'int main(void) { return 0; }\n')
  try {
    compileAndRun(compiler, source, join(folder, 'empty'), flags)
    return flags
  } catch {
    return []
  }
}

test.skipIf(!anyCompiler)(
  `sized structs are read and written as documented (${anyCompiler ?? 'no C compiler'})`,
  () => {
    const source = fileURLToPath(new URL('helpers.c', import.meta.url))
    const flags = sanitizers(anyCompiler!)
    expect(compileAndRun(anyCompiler!, source, join(folder, 'helpers'), flags)).toBe('ok\n')
  },
)
