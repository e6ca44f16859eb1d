import { createRuntime } from '@polymla/core'
import { expect, it } from 'vitest'
import { reference } from './browser-backend.js'

it('is listed in browsers, with the reason why it cannot be used', async () => {
  const runtime = createRuntime({ backends: [reference()] })
  const code = 'POLYMLA_DEVICE_UNAVAILABLE'
  expect(await runtime.listDevices()).toMatchObject([{ id: 'reference', available: false, reason: { code } }])
  await expect(runtime.selectDevice('reference')).rejects.toMatchObject({ code })
  await expect(reference().open({} as never)).rejects.toMatchObject({ code })
})
