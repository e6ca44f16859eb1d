import { existsSync } from 'node:fs'
import { createRuntime } from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { vendorBackends } from './backends.js'
import { builtLibrary } from './installed.js'

const built = existsSync(builtLibrary('hip')) && !existsSync('/dev/kfd')

describe.skipIf(!built)(
  'the portable kernels for AMD (skipped where they are not built, or there is a device)',
  () => {
    it('load, and say why there is no device', async () => {
      const devices = await createRuntime({ backends: vendorBackends({ env: {} }), env: {} }).listDevices()
      const hip = devices.find(({ id }) => id === 'hip')
      expect(hip).toMatchObject({
        available: false,
        reason: {
          code: 'POLYMLA_DEVICE_NOT_FOUND',
          message: expect.stringContaining('HIP runtime finds no device'),
        },
      })
    })
  },
)
