import { type DType, type HostArray, PolymlaError } from '@polymla/core'
import { readSafetensors, type SafetensorsFile, tensorElements } from '../safetensors/index.js'

/** A case's scalars: what the file's `cases` metadata says of it. */
export type Scalars = Readonly<Record<string, unknown>>

/**
 * A file of recorded cases: safetensors (gzip'd or not) with tensors named `<case>.<tensor>` and a `cases` metadata of
 * JSON, per case its scalars. Files are not trusted: everything that is read is checked.
 */
export class GoldenFile {
  readonly #file: SafetensorsFile
  readonly #cases: ReadonlyMap<string, Scalars>

  /** Throws `POLYMLA_INVALID_ARGUMENT` for anything that is not such a file. */
  constructor(bytes: Uint8Array) {
    this.#file = readSafetensors(bytes)
    this.#cases = readCases(this.#file.metadata.get('cases'))
  }

  get names(): string[] {
    return [...this.#cases.keys()]
  }

  case(name: string): GoldenTensors {
    return new GoldenTensors(this.#file, name, this.#cases.get(name) ?? {})
  }
}

/** The tensors and scalars of one case, checked as they are asked for. */
export class GoldenTensors {
  readonly name: string
  readonly #file: SafetensorsFile
  readonly #scalars: Scalars

  constructor(file: SafetensorsFile, name: string, scalars: Scalars) {
    this.#file = file
    this.name = name
    this.#scalars = scalars
  }

  has(tensor: string): boolean {
    return this.#file.tensors.has(`${this.name}.${tensor}`)
  }

  /** The shape of a tensor that must be there, of `rank` dimensions. */
  shape(tensor: string, rank: number): readonly number[] {
    const { shape } = this.#tensor(tensor)
    if (shape.length !== rank) throw wrong(this.#path(tensor), `${rank} dimensions`, `[${shape.join(', ')}]`)
    return shape
  }

  /** The dtype of a tensor: one of `allowed`; e4m3 may be stored as bytes. */
  dtype<D extends DType>(tensor: string, allowed: readonly D[]): D {
    const { dtype } = this.#tensor(tensor)
    const found = allowed.find((name) => FILE_NAMES[name].includes(dtype))
    if (!found) throw wrong(this.#path(tensor), `dtype ${allowed.join(' or ')}`, dtype)
    return found
  }

  /** The elements of a tensor of that dtype and shape. */
  elements<D extends DType>(tensor: string, dtype: D, shape: readonly number[]): HostArray<D> {
    this.dtype(tensor, [dtype])
    const found = this.shape(tensor, shape.length)
    if (shape.some((extent, dim) => found[dim] !== extent)) {
      throw wrong(this.#path(tensor), `shape [${shape.join(', ')}]`, `[${found.join(', ')}]`)
    }
    return tensorElements(this.#tensor(tensor)) as HostArray<D>
  }

  /** A number of the case's scalars. */
  number(scalar: string): number {
    const value = this.#scalars[scalar]
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw wrong(`cases.${this.name}.${scalar}`, 'a finite number', JSON.stringify(value))
    }
    return value
  }

  boolean(scalar: string): boolean {
    const value = this.#scalars[scalar]
    if (typeof value !== 'boolean') {
      throw wrong(`cases.${this.name}.${scalar}`, 'true or false', JSON.stringify(value))
    }
    return value
  }

  #tensor(tensor: string) {
    const found = this.#file.tensors.get(`${this.name}.${tensor}`)
    if (!found) throw wrong(this.#path(tensor), 'a tensor', 'nothing')
    return found
  }

  #path(tensor: string): string {
    return `${this.name}.${tensor}`
  }
}

const FILE_NAMES: Readonly<Record<DType, readonly string[]>> = {
  f32: ['F32'],
  f16: ['F16'],
  bf16: ['BF16'],
  e4m3: ['F8_E4M3', 'U8'],
  i32: ['I32'],
  u8: ['U8'],
}

export function wrong(path: string, expected: string, found: string | undefined): PolymlaError {
  const shown = found === undefined ? 'nothing' : found.length > 80 ? `${found.slice(0, 80)}…` : found
  return new PolymlaError('POLYMLA_INVALID_ARGUMENT', `${path}: expected ${expected}, found ${shown}`, {
    path,
    expected,
    found: shown,
  })
}

function readCases(json: string | undefined): Map<string, Scalars> {
  if (json === undefined) throw wrong('metadata.cases', 'JSON that names the cases of the file', 'nothing')
  let cases: unknown
  try {
    cases = JSON.parse(json)
  } catch {
    throw wrong('metadata.cases', 'JSON', json)
  }
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject(cases)) throw wrong('metadata.cases', 'an object', json)
  const entries = Object.entries(cases as Record<string, unknown>)
  if (entries.length === 0) throw wrong('metadata.cases', 'at least one case', 'none')
  for (const [name, scalars] of entries) {
    if (!isObject(scalars)) throw wrong(`metadata.cases.${name}`, 'an object', JSON.stringify(scalars))
  }
  return new Map(entries as [string, Scalars][])
}
