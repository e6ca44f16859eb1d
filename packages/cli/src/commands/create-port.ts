import { resolve } from 'node:path'
import { createPort } from '@polymla/backend-vendor'
import { isPolymlaError } from '@polymla/core'
import { defineCommand } from '../command.js'
import { EXIT, usageError } from '../errors.js'
import { text, toggle } from '../options.js'

export const createPortCommand = defineCommand({
  name: 'create-port',
  summary: 'write a package to start from, for a port to another device',
  about: [
    'Writes a package with a manifest, build files, the header of the C ABI, a library that compiles and says that it has',
    'no device, a test that runs the conformance suite, and a README that says how to go on.',
  ].join('\n'),
  operands: { name: 'NAME', help: 'the name of its devices, e.g. acme for acme:0', min: 1 },
  options: {
    folder: text('PATH', 'where to write it; by default a folder of that name here'),
    json: toggle('print an array of the files and nothing else'),
  },
  examples: [
    ['create-port acme', 'a port for acme:0 in ./acme'],
    ['create-port acme --folder ports/acme', 'somewhere else'],
  ],
  failure: 'it could not be written',
  async run({ print, printJson }, { folder, json }, [name, ...more]) {
    if (more.length > 0) throw usageError('NAME', 'one name', more.join(' '))
    const where = resolve(folder ?? name)
    try {
      const files = createPort({ name, folder: where })
      if (json) printJson(files)
      else
        print(
          [`${where}:`, ...files.map((file) => `  ${file}`), '', `Go on with ${where}/README.md`].join('\n'),
        )
      return EXIT.ok
    } catch (error) {
      if (!isPolymlaError(error, 'POLYMLA_INVALID_ARGUMENT')) throw error
      const { expected = '', found = '' } = error
      throw usageError(error.path === 'name' ? 'NAME' : '--folder', expected, found, error.fix)
    }
  },
})
