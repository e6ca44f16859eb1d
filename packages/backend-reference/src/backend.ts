import { API_VERSION, type Backend, type DeviceInfo, defineBackend } from '@polymla/core'

const DEVICE = { id: 'reference', arch: 'typescript', score: 0 }

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
    const reason = {
      code: 'POLYMLA_DEVICE_UNAVAILABLE',
      message: `this runtime has no worker threads: ${error instanceof Error ? error.message : String(error)}`,
      fix: 'Use Node 20 or newer, Bun or Deno',
    }
    return { ...DEVICE, name: 'Reference (float64)', available: false, reason }
  }
}
