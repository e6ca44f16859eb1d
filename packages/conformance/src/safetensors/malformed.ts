import { PolymlaError } from '@polymla/core'

/** The error for a file that breaks the format's rules. */
export function malformed(
  path: string,
  expected: string,
  found: string | number,
  cause?: unknown,
): PolymlaError {
  return new PolymlaError('POLYMLA_INVALID_ARGUMENT', `${path}: expected ${expected}, found ${found}`, {
    path,
    expected,
    found: String(found),
    fix: 'The file is not a safetensors file or is damaged: fetch or write it again',
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Any value of a hostile header, short and free of control characters. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
