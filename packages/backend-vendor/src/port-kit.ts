import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { invalidArgument, inWords } from '@polymla/core'

/** Beside dist and src, in a package as in a bundle. */
const TEMPLATE = fileURLToPath(new URL('../port-kit/template', import.meta.url))

export interface NewPort {
  /** The part of device ids before the colon: at most 32 lower-case letters, digits and `-`. */
  readonly name: string
  /** Where it is written: a folder that is not there yet, or is empty. */
  readonly folder: string
}

/**
 * Writes a port to start from: a package with manifest, build files, the ABI's header, a library that compiles and says
 * that it has no device, a test and a README.
 *
 * Throws `POLYMLA_INVALID_ARGUMENT` for a bad name and for a folder that holds something.
 *
 * @returns the files it wrote, relative to the folder
 */
export function createPort({ name, folder }: NewPort): string[] {
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(name)) {
    throw invalidArgument('name', 'at most 32 lower-case letters, digits and -, a letter first', name)
  }
  if (existsSync(folder) && (!statSync(folder).isDirectory() || readdirSync(folder).length > 0)) {
    const fix = 'Name another one, or empty it'
    throw invalidArgument(
      'folder',
      'one that is not there yet, or is empty',
      inWords(`${folder}, which holds something`),
      fix,
    )
  }
  const words = {
    NAME: name,
    FILE: name.replaceAll('-', '_'),
    PLATFORM: process.platform,
    ARCH: process.arch,
  }
  const files = filesIn(TEMPLATE).map((path) => {
    // Under their own names, tools would take these for this package's.
    const to = relative(TEMPLATE, path)
      .replace(/\.template$/, '')
      .replace(/^gitignore$/, '.gitignore')
    const text = readFileSync(path, 'utf8').replace(
      /@(NAME|FILE|PLATFORM|ARCH)@/g,
      (_, word: keyof typeof words) => words[word],
    )
    return [to, text] as const
  })
  files.push(['include/polymla_backend.h', readFileSync(header(), 'utf8')])
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return files.map(([path]) => path).sort()
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesIn(path) : [path]
  })
}

/** The ABI's header: beside the code in a bundle, else in the package that has it. */
function header(): string {
  const bundled = fileURLToPath(new URL('../include/polymla_backend.h', import.meta.url))
  if (existsSync(bundled)) return bundled
  return createRequire(import.meta.url).resolve('@polymla/native/include/polymla_backend.h')
}
