import { describeBackend } from '@polymla/conformance/vitest'
import { type Backend, type DeviceInfo, isPolymlaError } from '@polymla/core'
import { nativeBackend } from '@polymla/native'
import { describe } from 'vitest'
import { emulated } from './backends.js'
import { builtLibrary } from './installed.js'

/** The emulated devices, with so much shared memory per block. */
function withShared(shared: number): Backend {
  return nativeBackend({
    name: 'emu',
    library: builtLibrary('emu'),
    origin: 'package',
    ids: 'arch',
    options: { shared: String(shared) },
  })
}

const found: readonly DeviceInfo[] = await emulated()
  .probe()
  .catch((error: unknown) => {
    if (isPolymlaError(error, 'POLYMLA_BACKEND_LOAD_FAILED')) return []
    throw error
  })
const isUsable = found.some((device) => device.available)

describe.skipIf(!isUsable)('emulated devices (skipped where their library is not built)', () => {
  describe('waves of 64', () => describeBackend(emulated(), { device: 'emu:wave64' }))
  // Kernels for devices with less shared memory: compute capability 8.0, 8.6 and 12.0, and AMD's.
  for (const shared of [166_912, 101_376, 65_536]) {
    describe(`${shared} bytes of shared memory`, () =>
      describeBackend(withShared(shared), {
        device: 'emu:wave128',
        filter: /^(dense|sparse|prefill|invariant)/,
      }))
  }
})
