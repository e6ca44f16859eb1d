import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { buildTestPlugins } from '../../test-plugins/build.mjs'
import { checkLibrary } from './check-library.js'
import { exampleElf } from './elf/example-elf.js'

const posix = process.platform !== 'win32'
const root = realpathSync(mkdtempSync(join(tmpdir(), 'polymla-')))
afterAll(() => rmSync(root, { recursive: true }))

/** A good library in a folder of its own. */
function library(): { folder: string; path: string } {
  const folder = mkdtempSync(join(root, 'safe-'))
  const path = join(folder, 'x.so')
  writeFileSync(path, exampleElf(), { mode: 0o644 })
  return { folder, path }
}

const user = { origin: 'user' } as const

test('gives the canonical path of a good library', async () => {
  const { folder, path } = library()
  symlinkSync(path, join(folder, 'link.so'))
  expect(await checkLibrary(join(folder, 'link.so'), user)).toEqual({ path })
  expect(await checkLibrary(join(folder, '..', relative(root, path)), user)).toEqual({ path })
})

test.each([
  ['nothing', (folder: string) => join(folder, 'none.so'), 'nothing there'],
  ['a folder', (folder: string) => folder, 'a directory'],
  ['a relative path', (folder: string) => relative(process.cwd(), join(folder, 'x.so')), 'a relative one'],
  ['a path with a NUL', (folder: string) => `${folder}/x\0.so`, expect.stringContaining('null bytes')],
])('%s is refused', async (_, pathIn, found) => {
  const { folder } = library()
  await expect(checkLibrary(pathIn(folder), user)).rejects.toMatchObject({
    code: 'POLYMLA_BACKEND_LOAD_FAILED',
    found,
    fix: expect.stringMatching(/./),
  })
})

test.runIf(posix)('a device is refused without being read', async () => {
  await expect(checkLibrary('/dev/zero', user)).rejects.toMatchObject({ found: 'a special file' })
})

test('compares the hash when there is one', async () => {
  const { path } = library()
  const sha256 = createHash('sha256').update(exampleElf()).digest('hex')
  expect(await checkLibrary(path, { origin: 'package', sha256: sha256.toUpperCase() })).toEqual({ path })
  const other = '0'.repeat(64)
  await expect(checkLibrary(path, { origin: 'package', sha256: other })).rejects.toMatchObject({
    code: 'POLYMLA_BACKEND_LOAD_FAILED',
    path,
    expected: `sha256 ${other}`,
    found: sha256,
  })
})

describe.runIf(posix)('ownership', () => {
  test.each([0o664, 0o646])('a file of mode %o is refused', async (mode) => {
    const { path } = library()
    chmodSync(path, mode)
    await expect(checkLibrary(path, user)).rejects.toMatchObject({
      expected: 'it to be writable by its owner only',
      found: `mode ${mode.toString(8)}`,
      fix: `Run chmod go-w ${path}`,
    })
    expect(await checkLibrary(path, { origin: 'package' })).toEqual({ path })
  })

  test('so is one below a folder that others can write to', async () => {
    const { folder } = library()
    const below = join(folder, 'below')
    mkdirSync(below, { mode: 0o755 })
    const path = join(below, 'x.so')
    writeFileSync(path, exampleElf(), { mode: 0o644 })
    chmodSync(folder, 0o775)
    await expect(checkLibrary(path, user)).rejects.toMatchObject({
      path,
      expected: `${folder} to be writable by its owner only`,
      fix: `Run chmod go-w ${folder}`,
    })
    chmodSync(folder, 0o1777)
    expect(await checkLibrary(path, user)).toEqual({ path })
  })

  test('a link does not hide where the library lies', async () => {
    const { folder, path } = library()
    const { folder: safe } = library()
    symlinkSync(path, join(safe, 'link.so'))
    chmodSync(folder, 0o777)
    await expect(checkLibrary(join(safe, 'link.so'), user)).rejects.toMatchObject({ found: 'mode 777' })
  })

  test.runIf(process.getuid?.() === 0)('a file of another user is refused', async () => {
    const { path } = library()
    chownSync(path, 65534, 65534)
    await expect(checkLibrary(path, user)).rejects.toMatchObject({
      expected: 'a file of root or of user 0',
      found: 'one of user 65534',
      fix: `Make it yours: chown 0 ${path}`,
    })
  })
})

const plugins = buildTestPlugins()

describe.runIf(process.platform === 'linux' && 'folder' in plugins)('compiled libraries', () => {
  const check = (name: string) =>
    checkLibrary(join('folder' in plugins ? plugins.folder : '', `${name}.so`), { origin: 'package' })

  test.each(['noop', 'minimal', 'memory', 'faulty', 'newer', 'entry-fails', 'short-table', 'table-major'])(
    '%s may be loaded',
    async (name) => {
      expect((await check(name)).path).toMatch(new RegExp(`/${name}\\.so$`))
    },
  )

  test.each([
    ['text', 'POLYMLA_BACKEND_LOAD_FAILED', 'another kind of file'],
    ['other-machine', 'POLYMLA_BACKEND_LOAD_FAILED', expect.stringContaining('one built for')],
    ['no-note', 'POLYMLA_BACKEND_LOAD_FAILED', 'none'],
    ['note-major', 'POLYMLA_API_VERSION', 'version 2.0'],
    ['no-entry', 'POLYMLA_BACKEND_LOAD_FAILED', 'none'],
    ['missing-dependency', 'POLYMLA_BACKEND_LOAD_FAILED', expect.stringContaining('none of the folders')],
  ])('%s is refused', async (name, code, found) => {
    await expect(check(name)).rejects.toMatchObject({ code, found })
  })
})
