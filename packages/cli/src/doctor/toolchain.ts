import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What native backends are built with. */
const TOOLS = ['g++', 'clang++', 'cmake', 'nvcc'] as const

export interface Tool {
  readonly name: string
  /** Where PATH has it; null when it does not. Nothing is executed. */
  readonly path: string | null
}

/** Looks up the compilers and build tools on PATH. */
export function findTools(env: Readonly<Record<string, string | undefined>>): Tool[] {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const endings = process.platform === 'win32' ? (env.PATHEXT ?? '.EXE').split(';') : ['']
  return TOOLS.map((name) => {
    const places = folders.flatMap((folder) => endings.map((ending) => join(folder, name + ending)))
    return { name, path: places.find(isExecutable) ?? null }
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
