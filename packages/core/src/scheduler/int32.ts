import { invalidArgument } from '../errors.js'

/** Throws `POLYMLA_INVALID_ARGUMENT` unless `value` is an Int32Array with at least `minLength` entries. */
export function int32Array(path: string, value: Int32Array, minLength: number): void {
  // By tag, because instanceof fails for arrays of another realm.
  if (value?.[Symbol.toStringTag] !== 'Int32Array' || value.length < minLength) {
    throw invalidArgument(path, `an Int32Array of at least ${minLength} entries`, value)
  }
}
