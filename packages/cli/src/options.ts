import { usageError } from './errors.js'

/** One option of a command: how it looks in help, and how its text becomes a value. */
export interface Option<T> {
  /** What stands for the value in help; null for a switch, which takes none. */
  readonly value: string | null
  readonly help: string
  /** Its value when it is not given. */
  readonly fallback: T
  /** Throws a usage error that names `path`. */
  read(text: string, path: string): T
}

export type Options = Readonly<Record<string, Option<unknown>>>

/** Values by option name, each given or its fallback. */
export type Values<O extends Options> = { readonly [Name in keyof O]: O[Name]['fallback'] }

export function toggle(help: string): Option<boolean> {
  return { value: null, help, fallback: false, read: () => true }
}

export function text(value: string, help: string): Option<string | null>
export function text(value: string, help: string, fallback: string): Option<string>
export function text(value: string, help: string, fallback: string | null = null): Option<string | null> {
  return {
    value,
    help,
    fallback,
    read(given, path) {
      if (given === '') throw usageError(path, `a value (${value})`, 'none')
      return given
    },
  }
}

export function choice<const T extends string>(choices: readonly T[], help: string, fallback: T): Option<T> {
  return {
    value: choices.join('|'),
    help,
    fallback,
    read(given, path) {
      if (!choices.includes(given as T))
        throw usageError(path, `one of ${choices.join(', ')}`, JSON.stringify(given))
      return given as T
    },
  }
}

export function integer(help: string, fallback: number, min: number, max = 2 ** 31 - 1): Option<number> {
  return { value: 'N', help, fallback, read: (given, path) => readInteger(given, path, min, max) }
}

/** A list such as `1,16,64`; null when it is not given. */
export function integers(help: string, min: number, max: number): Option<readonly number[] | null> {
  return {
    value: 'N,…',
    help,
    fallback: null,
    read: (given, path) => given.split(',').map((part) => readInteger(part, path, min, max)),
  }
}

/** A list such as `dense.bf16,dense.fa3.bf16`; null when it is not given. */
export function texts(value: string, help: string): Option<readonly string[] | null> {
  return {
    value: `${value},…`,
    help,
    fallback: null,
    read(given, path) {
      const parts = given.split(',')
      if (parts.includes('')) throw usageError(path, `a list (${value},…)`, JSON.stringify(given))
      return parts
    },
  }
}

/** A share such as `1/4`, the first of four; null when it is not given. */
export function part(help: string): Option<{ readonly index: number; readonly count: number } | null> {
  return {
    value: 'I/N',
    help,
    fallback: null,
    read(given, path) {
      const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(given)?.map(Number) ?? []
      if (!(index >= 1 && index <= count)) {
        throw usageError(path, 'a share such as 1/4, the first of four', JSON.stringify(given))
      }
      return { index, count }
    },
  }
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
}

/** A size such as `4GB`, `256MiB` or `0`; null when it is not given. */
export function byteSize(help: string): Option<number | null> {
  return {
    value: 'SIZE',
    help,
    fallback: null,
    read(given, path) {
      const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(given) ?? []
      const bytes = Math.floor(Number(digits) * (UNITS[unit?.toUpperCase() ?? ''] ?? Number.NaN))
      if (!Number.isSafeInteger(bytes))
        throw usageError(path, 'a size such as 4GB, 256MiB or 0', JSON.stringify(given))
      return bytes
    },
  }
}

function readInteger(given: string, path: string, min: number, max: number): number {
  const value = /^-?\d+$/.test(given) ? Number(given) : Number.NaN
  if (!(value >= min && value <= max)) {
    throw usageError(path, `an integer in [${min}, ${max}]`, JSON.stringify(given))
  }
  return value
}
