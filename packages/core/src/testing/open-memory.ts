import { expect } from 'vitest'
import type { Device } from '../device/device.js'
import { createRuntime } from '../device/runtime.js'
import type { ErrorCode } from '../errors.js'
import { MemoryBackend, type MemoryDevice, type MemoryOptions } from './memory-backend.js'

/** An open device over memory, its backend's side, and the warnings that core logged. */
export interface OpenMemory {
  readonly device: Device
  readonly memory: MemoryDevice
  readonly warnings: readonly string[]
}

export async function openMemory(options: MemoryOptions = {}): Promise<OpenMemory> {
  const backend = new MemoryBackend(options)
  const warnings: string[] = []
  const runtime = createRuntime({
    backends: [backend],
    env: {},
    logger: (_level, message) => warnings.push(message),
  })
  const device = await runtime.selectDevice()
  return { device, memory: backend.opened[0], warnings }
}

/** Matches a library error by code and, for a broken rule, the path of the argument. */
export function coded(code: ErrorCode, path?: string): unknown {
  return expect.objectContaining(path === undefined ? { code } : { code, path })
}

/** Nothing is left of what the tests made: neither handles of the user's nor objects of the backend's. */
export function expectNothingLeft({ device, memory }: OpenMemory): void {
  expect(device.memory()).toMatchObject({
    liveBytes: 0,
    handles: { tensor: 0, stream: 0, event: 0, plan: 0, graph: 0 },
  })
  // The default stream lives as long as the device.
  expect(memory.live).toMatchObject({ buffers: 0, streams: 1, events: 0, graphs: 0 })
}
