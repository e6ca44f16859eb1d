import { describeBackend } from '@polymla/conformance/vitest'
import { reference } from './backend.js'

describeBackend(reference(), { grid: 'standard' })
