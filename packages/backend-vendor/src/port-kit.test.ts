import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRuntime } from '@polymla/core'
import { runAbiSuite } from '@polymla/native'
import { describe, expect, it } from 'vitest'
import { vendorBackend } from './backends.js'
import { readManifest } from './manifest.js'
import { createPort } from './port-kit.js'
import { makeFolder, notRunnable, suite } from './ports.fixtures.js'

const kit = fileURLToPath(new URL('../port-kit', import.meta.url))

/** Runs a script of the port's package.json. */
function script(folder: string, name: 'build' | 'seal'): void {
  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  execFileSync('sh', ['-c', scripts[name]], { cwd: folder, stdio: 'pipe' })
}

/** What the suite finds wrong with a port's library. */
async function faultsOf(library: string): Promise<string[]> {
  const { checks } = await runAbiSuite({ library })
  return checks.filter(({ status }) => status === 'failed').map(({ name, message }) => `${name}: ${message}`)
}

describe('createPort', () => {
  it('writes a package, with the ABI of now', () => {
    const folder = join(makeFolder(), 'acme-x')
    expect(createPort({ name: 'acme-x', folder })).toEqual([
      '.gitignore',
      'CMakeLists.txt',
      'README.md',
      'exports.map',
      'include/polymla_backend.h',
      'index.js',
      'package.json',
      'polymla.json',
      'scripts/seal.mjs',
      'src/library.cpp',
      'test/port.test.mjs',
    ])
    expect(readManifest(join(folder, 'polymla.json'))).toMatchObject({
      name: 'acme-x',
      library: 'lib/libpolymla_acme_x.so',
    })
    const header = fileURLToPath(new URL('../../native/include/polymla_backend.h', import.meta.url))
    expect(readFileSync(join(folder, 'include/polymla_backend.h'), 'utf8')).toBe(readFileSync(header, 'utf8'))
  })

  it.each(['Acme', '', '7up', 'a b', 'a'.repeat(33), undefined])('refuses the name %j', (name) => {
    const folder = join(makeFolder(), 'x')
    expect(() => createPort({ name: name as string, folder })).toThrow('name: expected at most 32 lower-case')
    expect(existsSync(folder)).toBe(false)
  })

  it('overwrites nothing', () => {
    const folder = makeFolder()
    writeFileSync(join(folder, 'mine'), '')
    expect(() => createPort({ name: 'acme', folder })).toThrow('which holds something')
    expect(() => createPort({ name: 'acme', folder: join(folder, 'mine') })).toThrow('which holds something')
  })
})

describe.skipIf(notRunnable)(suite('a port'), () => {
  it('goes from nothing to a device that conforms', async () => {
    const folder = makeFolder()
    createPort({ name: 'acme', folder })
    const library = join(folder, 'lib/libpolymla_acme.so')
    const listed = async () =>
      createRuntime({ backends: [vendorBackend({ path: folder })], env: {} }).listDevices()

    script(folder, 'build')
    expect(await faultsOf(library)).toEqual([])
    expect(await listed()).toMatchObject([
      {
        id: 'acme',
        reason: {
          code: 'POLYMLA_DEVICE_NOT_FOUND',
          message: 'no device of acme was found: this port has no code for one yet',
          fix: 'Fill in src/library.cpp',
        },
      },
    ])

    for (const file of ['device.h', 'library.cpp'])
      copyFileSync(join(kit, 'worked', file), join(folder, 'src', file))
    script(folder, 'build')
    expect(await faultsOf(library)).toEqual([])
    expect(await listed()).toMatchObject([{ id: 'acme:0', available: true }])

    script(folder, 'seal')
    expect(readManifest(join(folder, 'polymla.json')).sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(await listed()).toMatchObject([{ id: 'acme:0', available: true }])
    writeFileSync(library, readFileSync(library).subarray(1))
    expect(await listed()).toMatchObject([
      { id: 'acme', reason: { message: expect.stringContaining('sha256') } },
    ])
  })

  it('has a test of its own, which fails for what does not conform', () => {
    const folder = makeFolder()
    createPort({ name: 'acme', folder })
    const tool = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url))
    const npmTest = () => {
      const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env
      return spawnSync(process.execPath, ['--test', 'test/port.test.mjs'], {
        cwd: folder,
        env: { ...env, POLYMLA: `${process.execPath} ${tool}` },
        encoding: 'utf8',
      })
    }
    script(folder, 'build')
    mkdirSync(join(folder, 'build'), { recursive: true })
    const passing = npmTest()
    expect(`${passing.status} ${passing.stdout}`).toMatch(/^0 /)
    expect(readFileSync(join(folder, 'build/conformance.md'), 'utf8')).toContain(
      '# ABI conformance: 3 passed, 0 failed',
    )
    writeFileSync(join(folder, 'lib/libpolymla_acme.so'), 'not a library')
    expect(npmTest().status).not.toBe(0)
  })
})
