import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isPolymlaError } from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readManifest } from './manifest.js'
import { makeFolder, manifestFor } from './ports.fixtures.js'

const folder = makeFolder()
const path = join(folder, 'polymla.json')

function read(content: unknown): unknown {
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  try {
    return readManifest(path)
  } catch (error) {
    return error
  }
}

describe('a manifest', () => {
  it('is read as it stands', () => {
    const whole = manifestFor({
      sha256: 'a'.repeat(64),
      ids: 'arch',
      architectures: ['xcore1000'],
      runtime: { name: 'MACA', minimum: '2.33' },
    })
    expect(read(whole)).toEqual(whole)
    expect(read(manifestFor())).toEqual(manifestFor())
  })

  it.each<[change: object, member: string, expected: string]>([
    [{ manifest: 2 }, 'manifest', 'expected 1, found 2'],
    [{ name: 'Acme' }, 'name', 'lower-case letters'],
    [{ name: undefined }, 'name', 'found nothing'],
    [{ devices: '' }, 'devices', 'expected a text, found ""'],
    [{ abi: 'one' }, 'abi', 'a version such as "1.0", found "one"'],
    [{ library: '/lib/x.so' }, 'library', 'a path below the folder'],
    [{ library: 'lib/../../x.so' }, 'library', 'a path below the folder'],
    [{ sha256: 'ABC' }, 'sha256', '64 lower-case hexadecimal digits'],
    [{ ids: 'uuid' }, 'ids', 'numbered or arch'],
    [{ architectures: 'sm_90' }, 'architectures', 'a list of texts'],
    [{ architectures: [7] }, 'architectures.0', 'a text'],
    [{ runtime: 'MACA' }, 'runtime', 'an object with name and minimum'],
    [{ runtime: { name: 'MACA' } }, 'runtime.minimum', 'found nothing'],
    [{ colour: 'blue' }, 'colour', 'expected one of manifest, name, devices'],
  ])('with %j is refused by name', (change, member, expected) => {
    const error = read(manifestFor(change))
    expect(isPolymlaError(error, 'POLYMLA_INVALID_ARGUMENT') && error.message).toContain(
      `${path}: ${member}: `,
    )
    expect((error as Error).message).toContain(expected)
  })

  it.each(['', '{', 'null', '[]', '"text"', '3'])('is not %j', (content) => {
    expect(isPolymlaError(read(content), 'POLYMLA_INVALID_ARGUMENT')).toBe(true)
  })

  it('of another major version is refused before its library is looked at', () => {
    expect(read(manifestFor({ abi: '2.1' }))).toMatchObject({ code: 'POLYMLA_API_VERSION', found: '2.1' })
    expect(read(manifestFor({ abi: '1.9' }))).toMatchObject({ abi: '1.9' })
  })

  it('for another platform is refused', () => {
    const error = read(manifestFor({ platform: 'plan9', arch: 'vax' }))
    expect(error).toMatchObject({ code: 'POLYMLA_BACKEND_LOAD_FAILED', found: 'one for plan9 vax' })
  })

  it('is a small file', () => {
    expect(read(' '.repeat(70_000))).toMatchObject({ found: '70000 bytes' })
    expect(() => readManifest(folder)).toThrow('found something else')
    expect(() => readManifest(join(folder, 'absent.json'))).toThrow('found nothing there')
  })

  it('may be any JSON without more than an error in words', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const error = read(JSON.stringify(value))
        expect(isPolymlaError(error)).toBe(true)
      }),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(manifestFor())), fc.jsonValue(), (member, value) => {
        const found = read(manifestFor({ [member]: value }))
        expect(isPolymlaError(found) || typeof found === 'object').toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})
