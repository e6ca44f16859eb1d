import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { blocksOf, type Page, ROOT, readPages } from './markdown.js'

/** The commands of docs/vendors.md, in order, each block with what it is said to print. */
const all = blocksOf(readPages().find(({ path }) => path === 'docs/vendors.md') as Page)
const steps = all.flatMap(({ mark, code }, i) => {
  if (mark !== 'run=port') return []
  const said = all[i + 1]?.language === 'text' ? all[i + 1].code.trimEnd().split('\n') : []
  return [{ code, said }]
})

const tool = join(ROOT, 'packages/cli/dist/main.js')
const program = join(
  ROOT,
  `packages/native/dist/native/${process.platform}-${process.arch}/polymla-abi-suite`,
)
const missing = [tool, program].find((path) => !existsSync(path))

const folder = mkdtempSync(join(tmpdir(), 'polymla-worked-port-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A line as a page has it: `…` stands for anything. */
function pattern(line: string): RegExp {
  const literal = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^\\s*${literal.join('.*')}$`, 'm')
}

describe.skipIf(missing)(`the worked port${missing ? ` (skipped without ${missing})` : ''}`, () => {
  it('has all shell commands of its page', () => {
    const shell = all.filter(({ language }) => language === 'sh')
    expect(shell.filter(({ mark }) => mark !== 'run=port')).toEqual([])
    expect(steps.length).toBeGreaterThanOrEqual(3)
  })

  it('goes from nothing to green, command by command', { timeout: 900_000 }, () => {
    writeFileSync(join(folder, 'polymla'), `#!/bin/sh\nexec "${process.execPath}" "${tool}" "$@"\n`)
    chmodSync(join(folder, 'polymla'), 0o755)
    // Vitest's own variables would reach the port's test runner.
    const { NODE_OPTIONS: _, VITEST: __, NODE_ENV: ___, FORCE_COLOR: ____, ...env } = process.env
    let cwd = folder
    for (const { code, said } of steps) {
      const found = execFileSync('bash', ['-euo', 'pipefail', '-c', `${code}\npwd > "$AT"`], {
        cwd,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...env,
          NO_COLOR: '1',
          PATH: `${folder}:${env.PATH}`,
          CLONE: ROOT.replace(/\/$/, ''),
          AT: join(folder, 'at'),
        },
      })
      for (const line of said) expect(found).toMatch(pattern(line))
      cwd = join(folder, 'acme')
    }
  })
})
