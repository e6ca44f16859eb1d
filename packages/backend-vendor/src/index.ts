/**
 * Backends of GPU vendors.
 *
 * @module @polymla/backend-vendor
 */
export { portable } from './vendor-backend.js'
export { VENDORS, type Vendor } from './vendors.js'
