import { type ErrorCode, PolymlaError } from '@polymla/core'

/** The error for a library that is refused: `path: expected an ELF file, found text. Fix.` */
export function loadFailed(
  path: string,
  expected: string,
  found: string,
  fix: string,
  code: ErrorCode = 'POLYMLA_BACKEND_LOAD_FAILED',
): PolymlaError {
  return new PolymlaError(code, `${path}: expected ${expected}, found ${found}`, {
    path,
    expected,
    found,
    fix,
  })
}
