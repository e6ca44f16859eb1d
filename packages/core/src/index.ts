/**
 * Tensors, devices, plans, the paged KV cache, the tile scheduler, and the contract that backends implement.
 *
 * @module @polymla/core
 */
export * from './backend/index.js'
export * from './device/index.js'
export * from './dtype/index.js'
export {
  type ErrorCode,
  type ErrorDetails,
  invalidArgument,
  inWords,
  isPolymlaError,
  PolymlaError,
} from './errors.js'
export * from './kv-cache/index.js'
export * from './ops/index.js'
export * from './plan/index.js'
export * from './problem/index.js'
export * from './scheduler/index.js'
export * from './tensor/index.js'
