import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { anyCompiler, compileAndRun, includeFolder } from './compilers.js'
import { parseHeader } from './parse-header.js'

/*
 * layout.json is the binary contract, for 64-bit targets: libraries that are out there rely on it. Within major
 * version 1 it only grows, by members at the end of structs and by constants.
 */
interface Layout {
  readonly structs: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly constants: Readonly<Record<string, number>>
}

const header = parseHeader(readFileSync(join(includeFolder, 'polymla_backend.h'), 'utf8'))
const golden: Layout = JSON.parse(readFileSync(new URL('layout.json', import.meta.url), 'utf8'))

const folder = mkdtempSync(join(tmpdir(), 'polymla-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('every struct, member and constant of the header is pinned, and nothing else', () => {
  const members = Object.entries(golden.structs).map(([name, { sizeof, ...offsets }]) => [
    name,
    Object.keys(offsets),
  ])
  expect(Object.fromEntries(members)).toEqual(header.structs)
  expect(Object.keys(golden.constants).sort()).toEqual([...header.constants].sort())
})

test.skipIf(!anyCompiler)(
  `sizes, offsets and values are as pinned (${anyCompiler ?? 'no C compiler'})`,
  () => {
    const source = join(folder, 'layout.c')
    writeFileSync(source, layoutProgram())
    expect(JSON.parse(compileAndRun(anyCompiler!, source, join(folder, 'layout')))).toEqual(golden)
  },
)

/** A C program that prints the layout as this compiler has it. */
function layoutProgram(): string {
  const structs = Object.entries(header.structs).map(([struct, members]) => {
    const offsets = members.map((member) => ({ key: member, value: `offsetof(${struct}, ${member})` }))
    return { key: struct, members: [{ key: 'sizeof', value: `sizeof(${struct})` }, ...offsets] }
  })
  const constants = { key: 'constants', members: header.constants.map((key) => ({ key, value: key })) }
  const object = ({ key, members }: typeof constants) => {
    const inner = members.map((member) => print(`"${member.key}": %lld`, member.value))
    return [print(`"${key}": {`), ...inner.join(`${print(',')}\n`).split('\n'), print('}')].join('\n')
  }
  return `#include <polymla_backend.h>
#include <stdio.h>
int main(void) {
${print('{ "structs": {')}
${structs.map(object).join(`\n${print(',')}\n`)}
${print('},')}
${object(constants)}
${print('}')}
  return 0;
}
`
}

function print(format: string, value?: string): string {
  const text = JSON.stringify(format)
  return value === undefined ? `  printf(${text});` : `  printf(${text}, (long long)(${value}));`
}
