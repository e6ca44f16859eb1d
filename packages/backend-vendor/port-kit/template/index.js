import { fileURLToPath } from 'node:url'
import { vendorBackend } from '@polymla/backend-vendor'

/** The backend, for `registerBackend()` and for `POLYMLA_BACKENDS=polymla-@NAME@`. */
export default function backend(options) {
  return vendorBackend({ path: fileURLToPath(new URL('./polymla.json', import.meta.url)) }, options)
}
