import type { DeviceInfo } from '@polymla/core'

export const DEVICE = { id: 'reference', arch: 'typescript', score: 0 }

/** The device where it cannot compute. */
export function withoutThreads(why: string): Extract<DeviceInfo, { available: false }> {
  const reason = {
    code: 'POLYMLA_DEVICE_UNAVAILABLE',
    message: `this runtime has no worker threads: ${why}`,
    fix: 'Use Node 20 or newer, Bun or Deno',
  }
  return { ...DEVICE, name: 'Reference (float64)', available: false, reason }
}
