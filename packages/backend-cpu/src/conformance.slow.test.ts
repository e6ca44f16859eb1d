import { describeBackend } from '@polymla/conformance/vitest'
import { describe } from 'vitest'
import { cpu } from './backend.js'
import { usableIsas } from './isas.fixtures.js'

const [best, ...others] = await usableIsas()

describe.skipIf(best === undefined)('cpu (skipped where its library is not built)', () => {
  describe(`${best}`, () => describeBackend(cpu(), { grid: 'standard' }))
  for (const isa of others) describe(isa, () => describeBackend(cpu({ isa })))
})
