import { API_VERSION, type Backend, type DeviceInfo, defineBackend } from '@polymla/core'
import { DEVICE, withoutThreads } from './device-info.js'

/**
 * The exact backend, and the definition of every op: TypeScript with float64 accumulation and one rounding at the end,
 * on all cores, in worker threads. It needs `node:worker_threads` (Node, Bun, Deno).
 */
export function reference(): Backend {
  return defineBackend({
    name: 'reference',
    apiVersion: API_VERSION,
    probe: async () => [await probe()],
    async open() {
      const { openDevice } = await import('./open-device.js')
      return openDevice()
    },
  })
}

async function probe(): Promise<DeviceInfo> {
  try {
    const [{ availableParallelism, totalmem }] = await Promise.all([
      import('node:os'),
      import('node:worker_threads'),
    ])
    const name = `Reference (float64, ${availableParallelism()} threads)`
    return { ...DEVICE, name, memoryBytes: totalmem(), available: true }
  } catch (error) {
    return withoutThreads(error instanceof Error ? error.message : String(error))
  }
}
