import type { Manifest } from './manifest.js'

/** Where a backend's library is, and how far it is trusted. */
export interface Source {
  readonly name: string
  readonly library: string
  /** As `nativeBackend` takes it. */
  readonly origin: 'package' | 'user'
  readonly ids: 'numbered' | 'arch'
  readonly sha256?: string
  readonly manifest?: Manifest
}
