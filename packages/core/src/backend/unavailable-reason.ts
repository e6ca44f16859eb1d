import { isPolymlaError } from '../errors.js'
import type { UnavailableReason } from './contract.js'

/**
 * A failure as the reason of an unusable device: its code, its message without the fix, and its fix. A failure that is no
 * `PolymlaError`, or brings no fix, gets `POLYMLA_BACKEND_LOAD_FAILED` and `fix`.
 */
export function unavailableReason(failure: unknown, fix: string): UnavailableReason {
  const message = failure instanceof Error ? failure.message : String(failure)
  if (!isPolymlaError(failure)) return { code: 'POLYMLA_BACKEND_LOAD_FAILED', message, fix }
  if (failure.fix === undefined) return { code: failure.code, message, fix }
  return { code: failure.code, message: message.slice(0, -`. ${failure.fix}`.length), fix: failure.fix }
}
