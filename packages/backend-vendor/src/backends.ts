import {
  API_VERSION,
  type Backend,
  type DeviceInfo,
  defineBackend,
  PolymlaError,
  unavailableReason,
} from '@polymla/core'
import { isSecureProcess, nativeBackend } from '@polymla/native'
import { builtLibrary, lookupRoots } from './installed.js'
import { locatePlugin, pluginsIn, type VendorPlugin } from './plugin-paths.js'
import { backendOf, findPort, type VendorBackendOptions } from './vendor-backend.js'
import { NVIDIA, VENDORS } from './vendors.js'

export interface VendorBackendsOptions extends VendorBackendOptions {
  /** Plugins, before those of the environment. */
  readonly plugins?: readonly VendorPlugin[]
  /** Where `POLYMLA_VENDOR_PLUGIN` is read from. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Files that installed packages are looked up from. Default: the program and this package. */
  readonly roots?: readonly string[]
}

const VARIABLE = 'POLYMLA_VENDOR_PLUGIN'

/**
 * A backend per vendor, whose devices are called `metax:0`, `musa:0`, …, and one per plugin of another name. A vendor's
 * library is the plugin of its name that code or `POLYMLA_VENDOR_PLUGIN` names, else the one of its installed package,
 * else the one that this package was built with; a named plugin that cannot be used is not replaced by another.
 *
 * Never throws: what is wrong with a vendor or a plugin is the reason of an unusable device.
 */
export function vendorBackends(options: VendorBackendsOptions = {}): Backend[] {
  const { env = process.env, roots = lookupRoots() } = options
  const backends = new Map<string, Backend>()
  const mistakes: unknown[] = []
  for (const [plugin, where] of namedPlugins(options.plugins ?? [], env, mistakes)) {
    try {
      const { name } = locatePlugin(plugin, where)
      if (backends.has(name)) continue
      backends.set(
        name,
        backendOf(name, () => locatePlugin(plugin, where), options),
      )
    } catch (error) {
      mistakes.push(error)
    }
  }
  for (const vendor of VENDORS) {
    if (backends.has(vendor.id)) continue
    backends.set(
      vendor.id,
      backendOf(vendor.id, () => findPort(vendor, roots), options),
    )
  }
  if (mistakes.length > 0) backends.set('vendor', unusable(mistakes))
  return [...backends.values(), emulated()]
}

/** A backend over one library, for programs that bring it along: as `POLYMLA_VENDOR_PLUGIN` would make it. */
export function vendorBackend(plugin: VendorPlugin, options: VendorBackendOptions = {}): Backend {
  const { name } = locatePlugin(plugin, 'plugin.path')
  return backendOf(name, () => locatePlugin(plugin, 'plugin.path'), options)
}

/**
 * The portable kernels for NVIDIA GPUs of compute capability 8.0 and newer, as devices `cuda:0`, …: what
 * `@polymla/backend-cuda-hopper` falls to for GPUs that its own kernels are not made for.
 */
export function portableCuda(options: VendorBackendOptions = {}): Backend {
  return backendOf('cuda', () => findPort(NVIDIA, lookupRoots()), options)
}

/**
 * The portable kernels compiled for the CPU and run as a GPU of a given wave width would: `emu:wave32`, `emu:wave64`,
 * `emu:wave128`. For tests of kernels; listed only where somebody names it.
 */
export function emulated(): Backend {
  const backend = nativeBackend({ name: 'emu', library: builtLibrary('emu'), origin: 'package', ids: 'arch' })
  return { ...backend, onRequest: true }
}

function* namedPlugins(
  plugins: readonly VendorPlugin[],
  env: NonNullable<VendorBackendsOptions['env']>,
  mistakes: unknown[],
): Iterable<[plugin: VendorPlugin, where: string]> {
  for (const [i, plugin] of plugins.entries()) yield [plugin, `plugins[${i}].path`]
  const variable = env[VARIABLE]
  if (!variable) return
  if (isSecureProcess()) {
    const message = `${VARIABLE} is ignored: this process has rights that whoever set it may not have`
    mistakes.push(
      new PolymlaError('POLYMLA_BACKEND_LOAD_FAILED', message, {
        fix: 'Name the plugin in code: vendorBackend()',
      }),
    )
    return
  }
  for (const plugin of pluginsIn(variable)) yield [plugin, VARIABLE]
}

/** Plugins that are not even found, as devices `vendor:0`, `vendor:1`, …; a single one is `vendor`. */
function unusable(mistakes: readonly unknown[]): Backend {
  const devices = mistakes.map((mistake, i): DeviceInfo => {
    const id = mistakes.length === 1 ? 'vendor' : `vendor:${i}`
    return {
      id,
      name: 'A plugin',
      arch: 'unknown',
      score: 0,
      available: false,
      reason: unavailableReason(mistake, `Correct ${VARIABLE}`),
    }
  })
  return defineBackend({
    name: 'vendor',
    apiVersion: API_VERSION,
    probe: async () => devices,
    open: () => Promise.reject(mistakes[0]),
  })
}
