export type { Graph } from './capture.js'
export type { Device, PassedOver } from './device.js'
export type { DeviceMemory, HandleKind } from './ledger.js'
export type { Logger } from './logger.js'
export {
  createDevice,
  createRuntime,
  listDevices,
  type Runtime,
  type RuntimeOptions,
  registerBackend,
  type SelectOptions,
  selectDevice,
} from './runtime.js'
export type { Event, Stream } from './stream.js'
