import { invalidArgument, inWords } from '../errors.js'

export const INT32_MAX = 2 ** 31 - 1

/** Checks shared by every problem: each returns its value or throws `POLYMLA_INVALID_ARGUMENT` naming the path. */

export function integer(path: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `≥ ${min}` : `in [${min}, ${max}]`
    throw invalidArgument(path, `an integer ${range}`, value)
  }
  return value
}

export function finite(path: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw invalidArgument(path, 'a finite number', value)
  return value
}

export function oneOf<T extends string>(path: string, value: unknown, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw invalidArgument(path, `one of ${choices.join(', ')}`, value)
  return value as T
}

export function boolean(path: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidArgument(path, 'true or false', value)
  return value
}

/** An object of named values, with a clear error for callers without types. */
export function object<T extends object>(path: string, value: T): T {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalidArgument(path, 'an object', value)
  }
  return value
}

/** As {@link object}, refusing misspelt names too. Allocates nothing: runs are checked by it. */
export function options<T extends object>(path: string, value: T, known: readonly (keyof T & string)[]): T {
  for (const name in object(path, value)) {
    if (!known.includes(name as keyof T & string)) {
      throw invalidArgument(
        `${path}.${name}`,
        `one of the options ${known.join(', ')}`,
        inWords('an unknown option'),
      )
    }
  }
  return value
}

/** The softmax scale: there is no default, because a wrong one goes unnoticed. */
export function softmaxScale(path: string, value: unknown): number {
  if (value === undefined) {
    throw invalidArgument(
      path,
      'the softmax scale',
      inWords('nothing'),
      'Pass the scale, or compute it with softmaxScaleFromConfig(config)',
    )
  }
  return finite(path, value)
}

const HEAD_DIM_STEP = 16

export function headDim(path: string, value: unknown, max = 1 << 16): number {
  const checked = integer(path, value, HEAD_DIM_STEP, max)
  if (checked % HEAD_DIM_STEP !== 0) throw invalidArgument(path, `a multiple of ${HEAD_DIM_STEP}`, value)
  return checked
}

export function valueDim(path: string, value: unknown, layout: { readonly headDim: number }): number {
  return headDim(path, value, layout.headDim)
}

export function headsPerGroup(path: string, heads: unknown, headsKv: number): number {
  const checked = integer(path, heads, 1)
  if (checked % headsKv !== 0)
    throw invalidArgument(path, `a multiple of the cache's ${headsKv} KV heads`, heads)
  return checked
}
