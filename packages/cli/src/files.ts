import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { usageError } from './errors.js'

/** A file that the command line names; `path` is the operand or option that names it. */
export async function readNamed(path: string, file: string): Promise<Uint8Array> {
  try {
    // /dev/zero and the like never end.
    if ((await stat(file)).isCharacterDevice()) throw new Error(`${file} is a character device`)
    return await readFile(file)
  } catch (error) {
    throw usageError(path, 'a readable file', (error as Error).message)
  }
}

/** The golden files that come with polymla: beside the code in a bundle, else in the conformance package. */
export function fixtures(): string[] {
  const bundled = fileURLToPath(new URL('../fixtures', import.meta.url))
  const folder = existsSync(bundled) ? bundled : join(conformancePackage(), 'fixtures')
  return ['dense', 'sparse'].map((name) => join(folder, `${name}.safetensors.gz`))
}

function conformancePackage(): string {
  return dirname(createRequire(import.meta.url).resolve('@polymla/conformance/package.json'))
}
