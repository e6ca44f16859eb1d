import { isPolymlaError, PolymlaError } from '@polymla/core'
import type { Io } from './io.js'
import { styleOf } from './style.js'

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const

/** The error for a wrong command line; `path` is an option (`--batch`), an operand or an environment variable (`FILE`). */
export function usageError(path: string, expected: string, found: string, fix?: string): PolymlaError {
  return new PolymlaError('POLYMLA_INVALID_ARGUMENT', `${path}: expected ${expected}, found ${found}`, {
    path,
    expected,
    found,
    ...(fix === undefined ? {} : { fix }),
  })
}

/** Exit code for an error: a wrong command line, or environment variable, differs from everything else. */
export function exitCodeOf(error: unknown): number {
  if (!isPolymlaError(error)) return EXIT.failed
  return error.path !== undefined && /^(--|[A-Z_]+$)/.test(error.path) ? EXIT.usage : EXIT.failed
}

/** Prints an error on stderr: code and message; with a stack only where it is a bug, or POLYMLA_DEBUG is 1. */
export function printError(io: Pick<Io, 'stderr' | 'env'>, error: unknown): void {
  const style = styleOf(io.stderr, io.env)
  const code = isPolymlaError(error) ? error.code : 'POLYMLA_INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  io.stderr.write(`${style.red('error')} ${style.bold(code)} ${message}\n`)
  const showStack = !isPolymlaError(error) || io.env.POLYMLA_DEBUG === '1'
  if (showStack && error instanceof Error) io.stderr.write(`${style.dim(error.stack ?? '')}\n`)
}
