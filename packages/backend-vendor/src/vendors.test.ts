import { createRuntime } from '@polymla/core'
import { expect, test } from 'vitest'
import { portable } from './vendor-backend.js'
import { VENDORS } from './vendors.js'

test.each(VENDORS.map(({ id }) => id))(
  '%s is a name of devices, listed whether its library is there or not',
  async (id) => {
    const devices = await createRuntime({ backends: [portable(id)], env: {} }).listDevices()
    expect(devices.map((device) => device.id.split(':')[0])).toContain(id)
  },
)
