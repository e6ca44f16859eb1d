import { API_VERSION, type Backend, defineBackend, PolymlaError } from '@polymla/core'
import { withoutThreads } from './device-info.js'

/** Where there is only a browser: the device is listed, and says why it cannot be used. */
export function reference(): Backend {
  const device = withoutThreads('this is a build for browsers')
  return defineBackend({
    name: 'reference',
    apiVersion: API_VERSION,
    probe: async () => [device],
    async open() {
      throw new PolymlaError('POLYMLA_DEVICE_UNAVAILABLE', device.reason.message, { fix: device.reason.fix })
    },
  })
}
