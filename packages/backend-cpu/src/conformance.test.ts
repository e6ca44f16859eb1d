import { describeBackend } from '@polymla/conformance/vitest'
import { describe } from 'vitest'
import { cpu } from './backend.js'
import { usableIsas } from './isas.fixtures.js'

const built = (await usableIsas()).length > 0

// On any machine more threads than one, and a number that divides nothing evenly.
describe.skipIf(!built)('cpu (skipped where its library is not built)', () =>
  describeBackend(cpu({ threads: 3 })),
)
