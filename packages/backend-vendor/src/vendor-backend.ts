import { existsSync } from 'node:fs'
import {
  API_VERSION,
  type Backend,
  defineBackend,
  isPolymlaError,
  PolymlaError,
  unavailableReason,
} from '@polymla/core'
import { type NativeBackendOptions, nativeBackend } from '@polymla/native'
import { builtLibrary, installedPort } from './installed.js'
import type { Source } from './source.js'
import type { Vendor } from './vendors.js'

export interface VendorBackendOptions {
  /** Milliseconds that a library may take to list and open its devices. Default: 30 s. */
  readonly timeout?: number
  /** Settings of every device that is opened, as its library knows them. */
  readonly options?: Readonly<Record<string, string>>
  /** Receives what libraries log. */
  readonly logger?: NativeBackendOptions['logger']
}

/** Drivers of several devices need seconds when they have not been used for a while. */
const TIMEOUT_MS = 30_000

/**
 * A backend over the library that `find` finds, looked for anew by each listing. What `find` throws becomes the reason
 * why the backend has no device. The library is probed in a process of its own.
 */
export function backendOf(name: string, find: () => Source, given: VendorBackendOptions = {}): Backend {
  const { timeout = TIMEOUT_MS, options, logger } = given
  let current: { readonly key: string; readonly backend: Backend } | undefined
  let runtime = ''
  function backend(): Backend {
    const { library, origin, ids, sha256, manifest } = find()
    runtime = manifest?.runtime ? `${manifest.runtime.name} ${manifest.runtime.minimum} or newer` : ''
    const key = JSON.stringify([library, origin, ids, sha256])
    if (current?.key !== key) {
      const made = nativeBackend({
        name,
        library,
        origin,
        ids,
        isolate: timeout,
        ...(sha256 !== undefined && { sha256 }),
        ...(options && { options }),
        ...(logger && { logger }),
      })
      current = { key, backend: made }
    }
    return current.backend
  }
  return defineBackend({
    name,
    apiVersion: API_VERSION,
    async probe() {
      try {
        return await backend().probe()
      } catch (error) {
        throw withRuntime(error, runtime)
      }
    },
    open: async (info) => backend().open(info),
  })
}

/** A library that the dynamic linker does not find is, as a rule, part of the vendor's runtime: names that. */
function withRuntime(error: unknown, runtime: string): unknown {
  if (runtime === '' || !isPolymlaError(error) || !error.expected?.endsWith('which it is linked against'))
    return error
  const { code, path, expected, found } = error
  return new PolymlaError(code, unavailableReason(error, '').message, {
    fix: `Install ${runtime}, or start Node with LD_LIBRARY_PATH naming the folder of its libraries`,
    ...(path !== undefined && { path }),
    ...(expected !== undefined && { expected }),
    ...(found !== undefined && { found }),
    cause: error,
  })
}

/** Where the library of a vendor is that nobody named: an installed package, else what this package's build made. */
export function findPort({ id, devices, toolkit, folders, fix }: Vendor, roots: readonly string[]): Source {
  const installed = installedPort(id, roots)
  if (installed) return installed
  const library = builtLibrary(id)
  if (existsSync(library)) return { name: id, library, origin: 'package', ids: 'numbered' }
  const there = folders.find((folder) => existsSync(folder))
  throw new PolymlaError(
    'POLYMLA_BACKEND_NOT_FOUND',
    `no library for ${devices} is installed${there ? `, although ${toolkit} is in ${there}` : ''}`,
    {
      fix:
        fix ??
        `Build one, as the README of @polymla/backend-vendor says, and name it: POLYMLA_VENDOR_PLUGIN=${id}=/path/to/libpolymla_${id}.so`,
    },
  )
}
