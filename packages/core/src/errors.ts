/**
 * Every error the library throws on purpose. Branch on `code`; the class is always {@link PolymlaError}.
 *
 * | code | thrown when |
 * | --- | --- |
 * | `POLYMLA_INVALID_ARGUMENT` | a value breaks a documented rule (shape, dtype, stride, range, option, file content) |
 * | `POLYMLA_UNSUPPORTED` | the value is legal but this device, backend or build cannot do it; the message says why |
 * | `POLYMLA_BACKEND_NOT_FOUND` | no registered or installed backend has that name |
 * | `POLYMLA_BACKEND_LOAD_FAILED` | a backend is installed but its module or library could not be loaded |
 * | `POLYMLA_API_VERSION` | a backend was written against another version of the contract |
 * | `POLYMLA_DRIVER_TOO_OLD` | the device's driver is older than the backend needs |
 * | `POLYMLA_DEVICE_NOT_FOUND` | no device has that id |
 * | `POLYMLA_DEVICE_UNAVAILABLE` | the device exists but cannot be used; the message says why |
 * | `POLYMLA_DEVICE_LOST` | the device failed and every handle on it is dead |
 * | `POLYMLA_OUT_OF_MEMORY` | device memory, or the pages of a KV cache, are exhausted |
 * | `POLYMLA_PLAN_STALE` | a plan runs before its first update, or after what it was updated from changed |
 * | `POLYMLA_CAPTURE_ILLEGAL` | an operation that a graph cannot hold was called during capture |
 * | `POLYMLA_DISPOSED` | a handle is used after it, or its device, was disposed |
 * | `POLYMLA_ABORTED` | a wait was given up because its `AbortSignal` fired |
 * | `POLYMLA_INTERNAL` | a broken invariant inside the library or a backend; please report it |
 */
export type ErrorCode =
  | 'POLYMLA_INVALID_ARGUMENT'
  | 'POLYMLA_UNSUPPORTED'
  | 'POLYMLA_BACKEND_NOT_FOUND'
  | 'POLYMLA_BACKEND_LOAD_FAILED'
  | 'POLYMLA_API_VERSION'
  | 'POLYMLA_DRIVER_TOO_OLD'
  | 'POLYMLA_DEVICE_NOT_FOUND'
  | 'POLYMLA_DEVICE_UNAVAILABLE'
  | 'POLYMLA_DEVICE_LOST'
  | 'POLYMLA_OUT_OF_MEMORY'
  | 'POLYMLA_PLAN_STALE'
  | 'POLYMLA_CAPTURE_ILLEGAL'
  | 'POLYMLA_DISPOSED'
  | 'POLYMLA_ABORTED'
  | 'POLYMLA_INTERNAL'

/** What an error carries beside its code and message. */
export interface ErrorDetails {
  /** What to do about it, one sentence. Appended to the message. */
  readonly fix?: string
  /** Id of the device concerned, e.g. `cuda:0`. */
  readonly device?: string
  /** The offending argument, e.g. `q.shape[3]`. */
  readonly path?: string
  /** What the rule asks for, in words. */
  readonly expected?: string
  /** What was found instead, in words. */
  readonly found?: string
  readonly cause?: unknown
}

export class PolymlaError extends Error {
  override readonly name = 'PolymlaError'
  readonly code: ErrorCode
  readonly fix: string | undefined
  readonly device: string | undefined
  readonly path: string | undefined
  readonly expected: string | undefined
  readonly found: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(details.fix ? `${message}. ${details.fix}` : message, { cause: details.cause })
    this.code = code
    this.fix = details.fix
    this.device = details.device
    this.path = details.path
    this.expected = details.expected
    this.found = details.found
  }
}

/** True for any error of this library, optionally of one code. Works across copies of the package. */
export function isPolymlaError(error: unknown, code?: ErrorCode): error is PolymlaError {
  return (
    error instanceof Error &&
    error.name === 'PolymlaError' &&
    (code === undefined || (error as PolymlaError).code === code)
  )
}

/** The error for a broken rule: `q.shape[3]: expected 576, found 512. Fix.` */
export function invalidArgument(path: string, expected: string, found: unknown, fix?: string): PolymlaError {
  const shown = describe(found)
  return new PolymlaError('POLYMLA_INVALID_ARGUMENT', `${path}: expected ${expected}, found ${shown}`, {
    path,
    expected,
    found: shown,
    ...(fix === undefined ? {} : { fix }),
  })
}

/** The error for a handle that is used too late. `what` names it, `when` says after what. */
export function disposedError(what: string, device: string, when = 'it was disposed'): PolymlaError {
  return new PolymlaError('POLYMLA_DISPOSED', `${what} was used after ${when}`, {
    device,
    fix: 'Dispose of it after the last call that uses it',
  })
}

/** Text that says in words what was found, as opposed to a string that was found: it is not quoted. */
class InWords {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Marks text for {@link invalidArgument}'s `found` as words about the value. */
export function inWords(text: string): InWords {
  return new InWords(text)
}

/** A short, safe rendering of any value for an error message; never throws, never longer than about 80 characters. */
export function describe(value: unknown): string {
  if (value instanceof InWords) return value.text
  if (typeof value === 'string') return JSON.stringify(clip(value))
  if (typeof value === 'bigint') return clip(`${value}n`)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item) => (isPlain(item) ? String(item) : '…'))
    return `[${clip(items.join(', '))}${value.length > 8 ? ', …' : ''}]`
  }
  if (value === null || typeof value !== 'object') return clip(String(value))
  const name: unknown = value.constructor?.name
  // Builds put an underscore before the name of a class that mentions itself.
  const type =
    typeof name === 'string' && name !== '' ? clip(name.replace(/^_/, '')) : 'null-prototype object'
  if (!ArrayBuffer.isView(value)) return withArticle(type)
  return `${type}(${(value as { length?: number }).length ?? value.byteLength})`
}

/** A noun with its article, as it is spoken: an f32 tensor, an Int32Array, a u8 tensor. */
export function withArticle(noun: string): string {
  return `${/^(?:[aeio]|f\d)/i.test(noun) ? 'an' : 'a'} ${noun}`
}

function isPlain(value: unknown): boolean {
  return value === null || (typeof value !== 'object' && typeof value !== 'function')
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
