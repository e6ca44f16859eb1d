/**
 * Backends over the C ABI of `polymla_backend.h`, through one Node-API addon.
 *
 * @module @polymla/native
 */
export { type NativeBackendOptions, type NativeLogLevel, nativeBackend } from './backend.js'
export { isSecureProcess } from './loading/index.js'
