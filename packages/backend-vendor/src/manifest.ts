import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { invalidArgument, inWords, PolymlaError } from '@polymla/core'
import * as v from 'valibot'

/** The file in a port's folder, or exported by its package, that says what the port is. */
export const MANIFEST_FILE = 'polymla.json'

const text = (max: number) =>
  v.pipe(v.string('a text'), v.nonEmpty('a text'), v.maxLength(max, `at most ${max} characters`))

const Schema = v.strictObject({
  /** Version of this format. */
  manifest: v.literal(1, '1'),
  /** The part of device ids before the colon. */
  name: v.pipe(
    v.string('a text'),
    v.regex(/^[a-z][a-z0-9-]{0,31}$/, 'at most 32 lower-case letters, digits and -'),
  ),
  /** Whose devices, in words: `MetaX GPUs`. */
  devices: text(60),
  /** Version of polymla_backend.h that the library was compiled with: `1.0`. */
  abi: v.pipe(v.string('a text'), v.regex(/^\d{1,4}\.\d{1,4}$/, 'a version such as "1.0"')),
  /** Path of the library, below the manifest's folder. */
  library: v.pipe(
    text(200),
    v.regex(
      /^(?!\/)(?!.*(^|\/)\.\.(\/|$))[^\\\0]+$/,
      'a path below the folder of the manifest, with / between names',
    ),
  ),
  /** SHA-256 of the library. A package needs it; while a port is being written it may be absent. */
  sha256: v.optional(
    v.pipe(v.string('a text'), v.regex(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits')),
  ),
  /** As Node calls them in `process.platform` and `process.arch`. */
  platform: text(20),
  arch: text(20),
  /** What follows the colon in device ids: their index, or their architecture. Default: `numbered`. */
  ids: v.optional(v.picklist(['numbered', 'arch'], 'numbered or arch')),
  /** Architectures of devices that the library has code for, as the vendor calls them. */
  architectures: v.optional(
    v.pipe(v.array(text(31), 'a list of texts'), v.maxLength(64, 'at most 64 names')),
  ),
  /** What must be installed beside it: the vendor's runtime, and from which version on. */
  runtime: v.optional(
    v.strictObject({ name: text(60), minimum: text(40) }, 'an object with name and minimum'),
  ),
})

export type Manifest = v.InferOutput<typeof Schema>

/** A manifest is a page of text. */
const MAX_BYTES = 65_536

/**
 * Reads and checks a manifest.
 *
 * Throws `POLYMLA_INVALID_ARGUMENT` for what is not a manifest, `POLYMLA_API_VERSION` for one of another major version
 * of the ABI, and `POLYMLA_BACKEND_LOAD_FAILED` for one that cannot be read or is for another platform.
 */
export function readManifest(path: string): Manifest {
  const manifest = checkManifest(path, parse(path))
  const { abi, platform, arch } = manifest
  if (abi.split('.')[0] !== '1') {
    throw new PolymlaError(
      'POLYMLA_API_VERSION',
      `${path}: expected major version 1 of polymla's backend ABI, found version ${abi}`,
      { path, expected: '1', found: abi, fix: 'Install a build of the port for this version of polymla' },
    )
  }
  if (platform !== process.platform || arch !== process.arch) {
    const here = `${process.platform} ${process.arch}`
    const fix = `Install or build the port for ${here}`
    throw unreadable(path, `a port for ${here}`, `one for ${platform} ${arch}`, fix)
  }
  return manifest
}

/** The path of a manifest's library. */
export function libraryOf(path: string, { library }: Manifest): string {
  return join(dirname(path), library)
}

function checkManifest(path: string, content: unknown): Manifest {
  const { success, output, issues } = v.safeParse(Schema, content)
  if (success) return output
  const [issue] = issues
  const where = `${path}: ${v.getDotPath(issue) ?? basename(path)}`
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    throw invalidArgument(
      where,
      `one of ${Object.keys(Schema.entries).join(', ')}`,
      inWords('an unknown member'),
    )
  }
  const missing = issue.input === undefined
  throw invalidArgument(
    where,
    missing && issue.type === 'strict_object' ? 'it to be there' : issue.message,
    missing ? inWords('nothing') : issue.input,
  )
}

function parse(path: string): unknown {
  let content: string
  try {
    const stats = statSync(path)
    if (!stats.isFile() || stats.size > MAX_BYTES) {
      const found = stats.isFile() ? `${stats.size} bytes` : 'something else'
      throw unreadable(path, `a file of at most ${MAX_BYTES} bytes`, found, 'Correct the path')
    }
    content = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof PolymlaError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw unreadable(
      path,
      'a readable manifest',
      code === 'ENOENT' ? 'nothing there' : message,
      'Correct the path',
    )
  }
  try {
    return JSON.parse(content)
  } catch (error) {
    throw invalidArgument(path, 'JSON', inWords((error as Error).message))
  }
}

function unreadable(path: string, expected: string, found: string, fix: string): PolymlaError {
  const message = `${path}: expected ${expected}, found ${found}`
  return new PolymlaError('POLYMLA_BACKEND_LOAD_FAILED', message, { path, expected, found, fix })
}
