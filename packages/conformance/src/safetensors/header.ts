import type { FileDType } from './dtypes.js'
import { FILE_DTYPES, fileItemSize, isFileDType } from './dtypes.js'
import { malformed, shown } from './malformed.js'
import { repeatedKey } from './repeated-key.js'

/** Length of the header's length, a little-endian u64 at the start of the file. */
export const PREFIX = 8
/** Largest header that the format allows. */
const LARGEST_HEADER = 100_000_000

/** What the header says about one tensor; bytes are counted from the end of the header. */
interface HeaderEntry {
  readonly name: string
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly entries: readonly HeaderEntry[]
  readonly metadata: ReadonlyMap<string, string>
  /** Where tensor data starts in the file. */
  readonly dataStart: number
}

/** Reads and checks the header of a safetensors file: every rule of the format, and that data fill the file exactly. */
export function readHeader(file: Uint8Array): Header {
  const text = headerText(file)
  const dataStart = PREFIX + text.bytes
  const entries: HeaderEntry[] = []
  let metadata: ReadonlyMap<string, string> = new Map()
  for (const [name, value] of Object.entries(parseHeader(text.json))) {
    if (name === '__metadata__') metadata = readMetadata(value)
    else entries.push(readEntry(name, value))
  }
  checkCoverage(entries, file.length - dataStart)
  return { entries, metadata, dataStart }
}

function headerText(file: Uint8Array): { json: string; bytes: number } {
  if (file.length < PREFIX) throw malformed('file', `at least ${PREFIX} bytes`, file.length)
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const length = view.getBigUint64(0, true)
  const path = 'header length'
  if (length > BigInt(LARGEST_HEADER))
    throw malformed(path, `at most ${LARGEST_HEADER} bytes`, String(length))
  const bytes = Number(length)
  if (bytes > file.length - PREFIX) {
    throw malformed(path, `at most the ${file.length - PREFIX} bytes that follow`, bytes)
  }
  try {
    const json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      file.subarray(PREFIX, PREFIX + bytes),
    )
    return { json, bytes }
  } catch (cause) {
    throw malformed('header', 'UTF-8 text', 'other bytes', cause)
  }
}

function parseHeader(json: string): Record<string, unknown> {
  if (!json.startsWith('{')) throw malformed('header', 'a JSON object', shown(json.slice(0, 20)))
  let header: Record<string, unknown>
  try {
    header = JSON.parse(json)
  } catch (cause) {
    throw malformed('header', 'a JSON object', shown((cause as Error).message), cause)
  }
  const repeated = repeatedKey(json)
  if (repeated !== undefined) throw malformed('header', 'every key once', `${shown(repeated)} twice`)
  return header
}

function readMetadata(value: unknown): ReadonlyMap<string, string> {
  if (!isObject(value)) throw malformed('__metadata__', 'an object of strings', shown(value))
  const metadata = new Map<string, string>()
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw malformed(`__metadata__[${shown(key)}]`, 'a string', shown(text))
    metadata.set(key, text)
  }
  return metadata
}

function readEntry(name: string, value: unknown): HeaderEntry {
  const path = `tensor ${shown(name)}`
  if (!isObject(value)) throw malformed(path, 'an object with dtype, shape and data_offsets', shown(value))
  const { dtype, shape, data_offsets: offsets } = value
  if (!isFileDType(dtype)) throw malformed(`${path} dtype`, `one of ${FILE_DTYPES.join(', ')}`, shown(dtype))
  if (!isCounts(shape)) throw malformed(`${path} shape`, 'a list of non-negative integers', shown(shape))
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw malformed(`${path} data_offsets`, 'two non-negative integers, the smaller first', shown(offsets))
  }
  const [begin, end] = offsets
  let bytes = fileItemSize(dtype)
  for (const extent of shape) {
    bytes *= extent
    if (!Number.isSafeInteger(bytes)) throw malformed(`${path} shape`, 'less than 2^53 bytes', shown(shape))
  }
  if (end - begin !== bytes) {
    throw malformed(`${path} data_offsets`, `${bytes} bytes for ${dtype} ${shown(shape)}`, end - begin)
  }
  return { name, dtype, shape, begin, end }
}

/** Tensors may be listed in any order, but their data must follow each other without gap or overlap, to the end. */
function checkCoverage(entries: readonly HeaderEntry[], length: number): void {
  let covered = 0
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered)
      throw malformed(`tensor ${shown(name)} data_offsets`, `a start at ${covered}`, begin)
    covered = end
  }
  if (covered !== length) throw malformed('tensor data', `${covered} bytes, as the header says`, length)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0)
}
