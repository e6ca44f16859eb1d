/**
 * Backends of GPU vendors: their libraries on the C ABI, found by path or package, checked, probed and loaded.
 *
 * @module @polymla/backend-vendor
 */
export {
  emulated,
  portableCuda,
  type VendorBackendsOptions,
  vendorBackend,
  vendorBackends,
  vendorBackends as default,
} from './backends.js'
export { MANIFEST_FILE, type Manifest, readManifest } from './manifest.js'
export type { VendorPlugin } from './plugin-paths.js'
export { createPort, type NewPort } from './port-kit.js'
export type { VendorBackendOptions } from './vendor-backend.js'
export { VENDORS, type Vendor } from './vendors.js'
