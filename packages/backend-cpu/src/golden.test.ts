import { fileURLToPath } from 'node:url'
import { verifyFile } from '@polymla/conformance'
import { createRuntime } from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { cpu } from './backend.js'
import { usableIsas } from './isas.fixtures.js'

const isas = await usableIsas()
const fixture = (name: string) =>
  fileURLToPath(new URL(`../../conformance/fixtures/${name}.safetensors.gz`, import.meta.url))

describe.skipIf(isas.length === 0)('cpu (skipped where its library is not built)', () => {
  describe.each(isas)('%s', (isa) => {
    it.each([
      ['dense', 6],
      ['sparse', 5],
    ])("agrees with all of FlashMLA's recorded results: %s", async (name, count) => {
      await using device = await createRuntime({ backends: [cpu({ isa })] }).selectDevice('cpu')
      const { passed, cases } = await verifyFile(device, fixture(name))
      expect(cases.map(({ message }) => message)).toEqual(Array(count).fill(null))
      expect(passed).toBe(count)
    })
  })
})
