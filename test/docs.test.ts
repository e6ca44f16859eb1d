import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { inspect } from 'node:util'
import { runConformance } from '@polymla/conformance'
import * as core from '@polymla/core'
import * as flashMla from '@polymla/core/flash-mla'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { COMMANDS } from '../packages/cli/src/commands/index.js'
import { anchorsOf, blocksOf, linksOf, type Page, ROOT, readPages, tableUnder } from './markdown.js'

const pages = readPages()
const page = (path: string) => pages.find((known) => known.path === path) as Page
const source = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const namesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name)

/** What a rule finds on any page, each with where it stands. */
const everywhere = (find: (page: Page) => string[]) =>
  pages.flatMap((each) => find(each).map((found) => `${each.path}: ${found}`))

describe('every page', () => {
  it('has links that lead somewhere', () => {
    const broken = everywhere((each) =>
      linksOf(each).filter((target) => {
        if (/^[a-z]+:/.test(target)) return false
        const [file, anchor] = target.split('#')
        const found = file === '' ? each.path : posix.join(posix.dirname(each.path), file)
        if (!existsSync(join(ROOT, found))) return true
        return anchor !== undefined && !anchorsOf(page(found)).includes(anchor)
      }),
    )
    expect(broken).toEqual([])
  })

  it('names error codes and environment variables that exist', () => {
    const sources = [
      'packages/core/src/errors.ts',
      'packages/cli/src/help.ts',
      'packages/backend-vendor/native/vendors.cmake',
      'packages/backend-cuda-hopper/src/ptx/mbarrier.cuh',
    ]
      .map(source)
      .join()
    const known = new Set(sources.match(/POLYMLA_[A-Z_]+/g))
    const unknown = everywhere(({ text }) =>
      (text.match(/POLYMLA_[A-Z_]+/g) ?? []).filter((name) => !known.has(name)),
    )
    expect(unknown).toEqual([])
  })

  it('names commands of the tool that exist', () => {
    const known = COMMANDS.map(({ name }) => name)
    const used = everywhere(({ text }) => [...text.matchAll(/`polymla ([a-z-]+)/g)].map(([, name]) => name))
    expect(used.filter((entry) => !known.includes(entry.split(': ')[1]))).toEqual([])
  })

  it('names pnpm scripts that exist', () => {
    const known = ['install', ...Object.keys(JSON.parse(source('package.json')).scripts)]
    const used = everywhere(({ text }) => [...text.matchAll(/pnpm@10 ([a-z:]+)/g)].map(([, name]) => name))
    expect(used.filter((entry) => !known.includes(entry.split(': ')[1]))).toEqual([])
  })
})

describe('tables', () => {
  const listed = (path: string, heading: string) => tableUnder(page(path), heading)

  it.each(['README.md', 'packages/cli/README.md'])('%s lists every command', (path) => {
    const heading = path === 'README.md' ? 'Command line' : '@polymla/cli'
    const commands = listed(path, heading).map(([command]) => namesIn(command)[0].split(' ')[1])
    expect(commands.toSorted()).toEqual(COMMANDS.map(({ name }) => name).toSorted())
  })

  it('packages: every one is in the table and in the picture of ARCHITECTURE.md', () => {
    const packages = readdirSync(join(ROOT, 'packages')).toSorted()
    const rows = listed('ARCHITECTURE.md', 'Architecture').map(([name]) => namesIn(name)[0])
    expect(rows.toSorted()).toEqual(packages.map((name) => `@polymla/${name}`))
    const drawn = [...source('docs/architecture.svg').matchAll(/class="name"[^>]*>([\w-]+)</g)].map(
      ([, name]) => name,
    )
    expect(drawn).toEqual(expect.arrayContaining(packages))
  })

  it('formats: names, head dims and bytes are those of the code', () => {
    const rows = listed('README.md', 'KV cache formats').map(([format, headDim, bytes]) => [
      namesIn(format)[0],
      Number(headDim),
      Number(bytes),
    ])
    const formats = Object.keys(core.KV_FORMATS) as core.KvFormat[]
    const expected = formats.map((format) => {
      const layout = core.kvLayout({ format, pages: 1 })
      return [format, layout.headDim, core.tokenBytes(layout)]
    })
    expect(rows).toEqual(expected)
  })

  it('ops: every problem type is there, and its entry point is a method', async () => {
    using _warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    await using device = await core.selectDevice('reference')
    const rows = listed('README.md', 'Ops')
    for (const [, , entry] of rows) {
      const [, method] = namesIn(entry)[0].split('.')
      expect(device).toHaveProperty(method, expect.any(Function))
    }
    const problems = [...source('packages/core/src/problem/problem.ts').matchAll(/^ {2}\| (\w+)$/gm)]
    expect(rows.map(([, , , problem]) => namesIn(problem)[0])).toEqual(problems.map(([, name]) => name))
  })

  it('devices: those that the first-party backends have', async () => {
    const devices = await core.createRuntime({ env: {} }).listDevices()
    const rows = listed('README.md', 'Devices').flatMap(([device]) => namesIn(device))
    const backends = new Set(devices.map(({ id }) => id.split(':')[0]))
    expect(rows.toSorted()).toEqual([...backends].toSorted())
  })

  it("FlashMLA's names: those that are exported", () => {
    const rows = listed('README.md', 'Coming from FlashMLA').map(([, here]) => namesIn(here)[0])
    expect(rows.toSorted()).toEqual(Object.keys(flashMla).toSorted())
  })
})

describe('code blocks', () => {
  const blocks = pages.flatMap(blocksOf).filter(({ language }) => language === 'ts')
  /** A file per block, inside the repository so that @polymla/* resolves as in any other test. */
  let folder = ''
  const files = new Map(
    blocks.map((block, i) => [block, `${/^run=(\S+)$/.exec(block.mark)?.[1] ?? `block-${i}`}.ts`]),
  )
  const marked = (mark: string) => blocks.find((block) => block.mark === mark) as (typeof blocks)[number]
  const run = (mark: string) => import(join(folder, files.get(marked(mark)) as string))

  beforeAll(() => {
    folder = mkdtempSync(join(ROOT, 'test/extracted-'))
    for (const [{ code }, file] of files) writeFileSync(join(folder, file), code)
    vi.stubEnv('POLYMLA_DEVICE', 'reference')
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  it('are executed or type-checked, all of them', () => {
    expect(blocks.filter(({ mark }) => mark !== 'check' && !mark.startsWith('run='))).toEqual([])
    expect(blocks.map(({ mark }) => mark).filter((mark) => mark !== 'check')).toEqual([
      'run=tiny-backend',
      'run=readme',
    ])
  })

  it('type-check', () => {
    const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
    const paths = [...files.values()].map((file) => join(folder, file))
    const program = ts.createProgram(paths, { ...options, noUnusedLocals: false })
    const found = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file && dirname(file.fileName) === folder)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
    expect(found).toEqual([])
  })

  it('README: the example has 20 lines and prints what the text says', async () => {
    const { code } = marked('run=readme')
    expect(code.trimEnd().split('\n')).toHaveLength(20)
    using log = vi.spyOn(console, 'log').mockImplementation(() => {})
    await run('run=readme')
    const [[printed]] = log.mock.calls
    const said = blocksOf(page('README.md')).find(({ language }) => language === 'text')
    expect(inspect(printed)).toBe(said?.code.trimEnd())
  })

  it('CONTRIBUTING: the backend has 60 lines and passes the conformance suite', async () => {
    const lines = marked('run=tiny-backend').code.split('\n')
    expect(lines.filter((line) => line !== '').length).toBeLessThanOrEqual(60)
    const { default: tiny } = await run('run=tiny-backend')
    const { cases, skipReasons } = await runConformance({ backend: tiny(), grid: 'smoke' })
    expect(cases.filter(({ status }) => status === 'failed')).toEqual([])
    expect(cases.filter(({ status, name }) => status === 'passed' && name.includes('merge'))).not.toEqual([])
    expect(skipReasons.map(({ reason }) => reason)).toContain('op decode: only mergeStates is implemented')
  })
})
