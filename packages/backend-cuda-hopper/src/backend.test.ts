import { createRuntime, type DeviceInfo, isPolymlaError } from '@polymla/core'
import { describe, expect, it } from 'vitest'
import { cudaHopper } from './backend.js'

const found = await cudaHopper()
  .probe()
  .catch((error: unknown) => error)
const isBuilt = !isPolymlaError(found, 'POLYMLA_BACKEND_LOAD_FAILED')
const hasDevices = Array.isArray(found)

describe.skipIf(!isBuilt || hasDevices)(
  'cuda without a device (skipped where there is one, or no library)',
  () => {
    it('is listed as unusable, with what to do about it', async () => {
      const [device] = await createRuntime({ backends: [cudaHopper()] }).listDevices()
      expect(device.available).toBe(false)
      const { reason } = device as DeviceInfo & { available: false }
      expect(['POLYMLA_DEVICE_NOT_FOUND', 'POLYMLA_DRIVER_TOO_OLD']).toContain(reason.code)
      expect(reason.message).toContain('NVIDIA driver')
      expect(reason.fix).not.toBe('')
    })

    it('does not open', async () => {
      const runtime = createRuntime({ backends: [cudaHopper()] })
      await expect(runtime.selectDevice('cuda')).rejects.toThrow('NVIDIA driver')
    })
  },
)
