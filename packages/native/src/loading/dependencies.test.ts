import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findMissing, type LibraryNeeds, type LibrarySystem, thisSystem } from './dependencies.js'

const folder = mkdtempSync(join(tmpdir(), 'polymla-'))
const name = 'libpolymla-nowhere.so.4'
mkdirSync(join(folder, 'has'))
writeFileSync(join(folder, 'has', name), '')
mkdirSync(join(folder, 'levels', 'glibc-hwcaps', 'x86-64-v3'), { recursive: true })
writeFileSync(join(folder, 'levels', 'glibc-hwcaps', 'x86-64-v3', name), '')
afterAll(() => rmSync(folder, { recursive: true }))

const has = join(folder, 'has')
const glibc: LibrarySystem = {
  libraryPath: '',
  executable: null,
  loaded: ['/usr/bin/node', '/usr/lib/x86_64-linux-gnu/libc.so.6', '/opt/lib/libloaded.so.4.1.0'],
  cache: Buffer.from('libcached.so.1\0/opt/lib/libcached.so.1\0'),
}

function missing(needs: Partial<LibraryNeeds>, system: Partial<LibrarySystem> = {}): string | undefined {
  const whole = { needed: [name], rpath: undefined, runpath: undefined, ...needs }
  return findMissing(join(folder, 'x.so'), whole, { ...glibc, ...system })
}

test('names the first library that is in no folder', () => {
  expect(missing({})).toBe(name)
  expect(missing({ needed: ['libcached.so.1', name, 'libpolymla-other.so'] })).toBe(name)
})

test('what is loaded or cached is there', () => {
  expect(missing({ needed: ['libloaded.so.4', 'libc.so.6', 'libcached.so.1'] })).toBeUndefined()
})

test.each([
  ['RUNPATH', { runpath: `/nowhere:${has}` }, {}],
  ['RUNPATH from $ORIGIN', { runpath: '$ORIGIN/has' }, {}],
  ['RUNPATH from ORIGIN in braces', { runpath: '$' + '{ORIGIN}/has' }, {}],
  ['RUNPATH, for one level of a processor', { runpath: join(folder, 'levels') }, {}],
  ['RPATH', { rpath: has }, {}],
  ['RPATH of the executable', {}, { executable: { rpath: '$ORIGIN/has', origin: folder } }],
  ['LD_LIBRARY_PATH', {}, { libraryPath: `/nowhere;${has}` }],
] as const)('searches %s', (_, needs, system) => {
  expect(missing(needs, system)).toBeUndefined()
})

test('with a RUNPATH no RPATH counts', () => {
  const executable = { rpath: has, origin: folder }
  expect(missing({ rpath: has, runpath: '/nowhere' }, { executable })).toBe(name)
})

test.each([
  ['a path in place of a name', { needed: ['sub/libx.so'] }, {}],
  ['a folder that depends on the distribution', { runpath: '/opt/$LIB' }, {}],
  ['musl', {}, { loaded: ['/lib/ld-musl-x86_64.so.1'] }],
  ['a glibc with folders of its own', {}, { loaded: ['/nix/store/abc-glibc/lib/libc.so.6'] }],
] as const)('%s is left to the dynamic linker', (_, needs, system) => {
  expect(missing(needs, system)).toBeUndefined()
})

test.runIf(process.platform === 'linux')('of this process, finds what it was started with by itself', () => {
  const system = thisSystem()
  expect(system.loaded).toContain(realpathSync(process.execPath))
  const needed = system.loaded.map((file) => basename(file)).filter((file) => /^lib.*\.so/.test(file))
  expect(needed).not.toEqual([])
  const loaded = system.loaded.filter((file) => basename(file).startsWith('libc.so'))
  expect(missing({ needed }, { ...system, loaded })).toBeUndefined()
})
