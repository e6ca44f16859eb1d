import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const includeFolder = fileURLToPath(new URL('../../include', import.meta.url))

const isInstalled = (name: string) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0

/** A C compiler, if one is installed. */
export const anyCompiler = ['cc', 'gcc', 'clang'].find(isInstalled)

/** How clang is called here: Debian's package of one version has no plain name. */
export const clang = ['clang', 'clang-21', 'clang-20', 'clang-19'].find(isInstalled) ?? 'clang'

/** Compiles a C program with all warnings as errors, and returns what it prints. Throws with what either complains of. */
export function compileAndRun(
  compiler: string,
  source: string,
  program: string,
  flags: string[] = [],
): string {
  const warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']
  const args = ['-std=c11', '-g', ...warnings, ...flags, '-I', includeFolder, source, '-o', program]
  execFileSync(compiler, args, { stdio: 'pipe' })
  return execFileSync(program, { encoding: 'utf8', stdio: 'pipe' })
}
