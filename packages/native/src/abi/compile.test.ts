import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { clang, includeFolder } from './compilers.js'

const source = fileURLToPath(new URL('compile.c', import.meta.url))

describe.each([
  ['gcc', 'c', ['c11', 'c17']],
  ['gcc', 'c++', ['c++17', 'c++20']],
  [clang, 'c', ['c11', 'c17']],
  [clang, 'c++', ['c++17', 'c++20']],
])('the header with %s as %s', (compiler, language, standards) => {
  const syntaxOnly = ['-x', language, '-fsyntax-only']
  const isInstalled = spawnSync(compiler, [...syntaxOnly, '/dev/null'], { stdio: 'ignore' }).status === 0

  test.skipIf(!isInstalled).each(standards)(
    `compiles as %s without a warning${isInstalled ? '' : ' (not installed)'}`,
    (standard) => {
      const warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Wshadow', '-Wconversion']
      const args = [...syntaxOnly, `-std=${standard}`, ...warnings, '-I', includeFolder, source]
      expect(() => execFileSync(compiler, args, { stdio: 'pipe', encoding: 'utf8' })).not.toThrow()
    },
  )
})
