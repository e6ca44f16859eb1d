/**
 * Backends over the C ABI of `polymla_backend.h`, through one Node-API addon.
 *
 * @module @polymla/native
 */
export {
  type AbiCheck,
  type AbiDevice,
  type AbiLibrary,
  type AbiReport,
  type AbiSuiteOptions,
  listAbiChecks,
  runAbiSuite,
} from './abi-suite/abi-suite.js'
export { type AbiReportFacts, abiMarkdown } from './abi-suite/markdown.js'
export { type NativeBackendOptions, type NativeLogLevel, nativeBackend } from './backend.js'
export { isSecureProcess } from './loading/index.js'
