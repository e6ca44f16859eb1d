import { describeBackend } from '@polymla/conformance/vitest'
import { describe } from 'vitest'
import { cpu } from './backend.js'
import { usableIsas } from './isas.fixtures.js'

const isas = await usableIsas()

describe.skipIf(isas.length === 0)('cpu (skipped where its library is not built)', () => {
  for (const isa of isas) describe(isa, () => describeBackend(cpu({ isa }), { grid: 'standard' }))
})
