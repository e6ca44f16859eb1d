import { describeBackend } from '@polymla/conformance/vitest'
import { describe } from 'vitest'
import { cudaHopper } from './backend.js'

const devices = await cudaHopper()
  .probe()
  .catch(() => [])

describe.skipIf(!devices.some((device) => device.available))('cuda (skipped without a Hopper GPU)', () =>
  describeBackend(cudaHopper(), { grid: 'standard' }),
)
