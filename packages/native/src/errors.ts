import { type ErrorCode, PolymlaError } from '@polymla/core'

/** Codes of the statuses of pmla_status, by number. */
const CODES: readonly ErrorCode[] = [
  'POLYMLA_INTERNAL', // OK and NOT_READY are no failures
  'POLYMLA_INTERNAL',
  'POLYMLA_INVALID_ARGUMENT',
  'POLYMLA_UNSUPPORTED',
  'POLYMLA_OUT_OF_MEMORY',
  'POLYMLA_DEVICE_NOT_FOUND',
  'POLYMLA_DRIVER_TOO_OLD',
  'POLYMLA_DEVICE_UNAVAILABLE',
  'POLYMLA_DEVICE_LOST',
  'POLYMLA_CAPTURE_ILLEGAL',
  'POLYMLA_INTERNAL',
  'POLYMLA_API_VERSION',
]

/** Statuses of the addon's own. */
const OWN_CODES: Readonly<Record<number, ErrorCode>> = {
  [-1]: 'POLYMLA_BACKEND_LOAD_FAILED',
  [-2]: 'POLYMLA_DISPOSED',
}

/** The code of a status; of one that this version does not know, `POLYMLA_INTERNAL`. */
export function codeOf(status: number): ErrorCode {
  return CODES[status] ?? OWN_CODES[status] ?? 'POLYMLA_INTERNAL'
}

/** The error of a native failure: the addon throws and rejects with what this makes. */
export function nativeError(
  status: number,
  nativeCode: number,
  message: string,
  fix: string,
  device: string,
): PolymlaError {
  const known = status in CODES || status in OWN_CODES
  const details = [known ? '' : `status ${status}`, nativeCode === 0 ? '' : `native code ${nativeCode}`]
  const note = details.filter((detail) => detail !== '').join(', ')
  return new PolymlaError(codeOf(status), note === '' ? message : `${message} (${note})`, {
    ...(fix !== '' && { fix }),
    ...(device !== '' && { device }),
  })
}
