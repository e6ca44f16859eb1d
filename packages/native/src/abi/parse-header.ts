/** The types and constants of a C header, by name and in order. */
export interface HeaderContent {
  readonly structs: Readonly<Record<string, readonly string[]>>
  /** Constants of all enums, and macros that are plain numbers. */
  readonly constants: readonly string[]
}

/**
 * Reads the names out of `polymla_backend.h`, which keeps to simple declarations; anything that it cannot read is an
 * error, so nothing is left out in silence.
 */
export function parseHeader(text: string): HeaderContent {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '')
  const structs: Record<string, string[]> = {}
  for (const [, body, name] of code.matchAll(/typedef struct \{([^}]*)\} (\w+);/g)) {
    structs[name!] = body!
      .split(/;/)
      .map((declaration) => declaration.trim())
      .filter((declaration) => declaration !== '')
      .flatMap(membersOf)
  }
  const enums = [...code.matchAll(/enum \w*\s*\{([^}]*)\}/g)].flatMap(([, body]) => body!.split(','))
  const constants = enums
    .map((constant) => constant.trim())
    .filter((constant) => constant !== '')
    .map((constant) => /^(\w+) = -?\d+$/.exec(constant)?.[1] ?? unreadable(constant))
  for (const [, name] of code.matchAll(/^#define (\w+) \d+u?$/gm)) constants.push(name!)
  expectCount(code, /\bstruct\s*\{/g, Object.keys(structs).length)
  expectCount(code, /\bunion\b/g, 0)
  return { structs, constants }
}

/** Names that one declaration declares: `int a, b`, `int a[3]` or `int (*a)(int b)`. */
function membersOf(declaration: string): string[] {
  const pointer = /^[\w\s*]+\(\*(\w+)\)\([^;]*\)$/.exec(declaration.replace(/\s+/g, ' '))
  if (pointer) return [pointer[1]!]
  return declaration
    .split(',')
    .map((part) => /(?:^|[\s*])(\w+)(?:\[\w+\])?$/.exec(part.trim())?.[1] ?? unreadable(declaration))
}

function expectCount(code: string, pattern: RegExp, count: number): void {
  const found = code.match(pattern)?.length ?? 0
  if (found !== count) throw new Error(`the header has ${found} of ${pattern}, and ${count} were read`)
}

function unreadable(declaration: string): never {
  throw new Error(`cannot read the declaration "${declaration}"`)
}
