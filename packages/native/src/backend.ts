import { existsSync } from 'node:fs'
import {
  API_VERSION,
  type Backend,
  type DeviceInfo,
  defineBackend,
  invalidArgument,
  PolymlaError,
} from '@polymla/core'
import { addon, type NativeDeviceInfo, notBuilt, type OpenedDevice } from './addon.js'
import { NativeDevice } from './device.js'
import { codeOf } from './errors.js'
import { probeApart } from './isolated/probe-apart.js'
import { checkLibrary } from './loading/index.js'

/** Levels of a library's log messages. */
export type NativeLogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface NativeBackendOptions {
  /** Lower-case letters, digits and `-`; the part of a device id before the colon. */
  readonly name: string
  /** Absolute path of a shared library that exports `pmla_library_v1`. */
  readonly library: string
  /** SHA-256 of the library in lower-case hex; another file is refused. Default: any. */
  readonly sha256?: string
  /** Whether the library came with a package or was named by the user. Default: `user`. */
  readonly origin?: 'package' | 'user'
  /** Settings of every device that is opened, as the library knows them, e.g. `{ threads: '2' }`. */
  readonly options?: Readonly<Record<string, string>>
  /**
   * What follows the name in ids: the device's index (`numbered`), its architecture as the library calls it (`arch`), or
   * its index where there is more than one device. Default: the last.
   */
  readonly ids?: 'numbered' | 'arch'
  /**
   * Milliseconds for probing in a process of its own, in which the library is loaded and every usable device opened
   * once: one that crashes, ends the process or does not come back is then an unusable device. In this process it is
   * loaded when a device is opened, which may take as long. Default: probing happens in this process and may take
   * any time.
   */
  readonly isolate?: number
  /** Receives what the library logs. Default: nobody. */
  readonly logger?: (level: NativeLogLevel, message: string) => void
}

const LEVELS: readonly NativeLogLevel[] = ['debug', 'info', 'warn', 'error']

/**
 * A backend over a shared library with the C ABI of `polymla_backend.h`. The library is checked and loaded by the first
 * probe, once per process, and stays loaded. It is native code: loading one trusts it with everything.
 *
 * `probe` and `open` reject with `POLYMLA_BACKEND_LOAD_FAILED` where addon or library is not built or may not be
 * loaded, and with `POLYMLA_API_VERSION` for a library of another version of the ABI; a runtime lists that as an
 * unusable device with its reason.
 */
export function nativeBackend(given: NativeBackendOptions): Backend {
  if (given === null || typeof given !== 'object') throw invalidArgument('options', 'an object', given)
  const { name, library, origin = 'user', sha256, options = {}, logger, ids, isolate } = given
  if (typeof library !== 'string') throw invalidArgument('library', 'the path of a shared library', library)
  for (const [key, value] of Object.entries(options)) {
    if (typeof value !== 'string') throw invalidArgument(`options.${key}`, 'a string', value)
  }
  const log = logger && ((level: number, message: string) => logger(LEVELS[level] ?? 'error', message))
  const settings = Object.entries(options).flat()

  async function checkedPath(): Promise<string> {
    if (origin === 'package' && !existsSync(library))
      throw notBuilt(`the library of backend ${name}`, library)
    const { path } = await checkLibrary(library, { origin, ...(sha256 !== undefined && { sha256 }) })
    return path
  }

  const idOf = (index: number, arch: string, count: number) => {
    if (ids === 'arch') return `${name}:${arch}`
    return ids === undefined && count === 1 ? name : `${name}:${index}`
  }
  /** By id, as they were listed last. */
  const indices = new Map<string, number>()
  return defineBackend({
    name,
    apiVersion: API_VERSION,
    async probe() {
      const native = addon()
      const path = await checkedPath()
      const infos = await (isolate === undefined
        ? native.probe(path, log)
        : probeApart(path, { timeout: isolate, settings }))
      return infos.map((info, index) => {
        const id = idOf(index, info.arch, infos.length)
        indices.set(id, index)
        return deviceInfo(id, info)
      })
    },
    async open({ id }) {
      const native = addon()
      const index = indices.get(id)
      if (index === undefined) throw invalidArgument('info.id', `a device that ${name} has listed`, id)
      const opening = native.open(await checkedPath(), index, id, settings, log)
      return new NativeDevice(native, id, await withinTime(opening, id, isolate))
    },
  })
}

/** Gives up waiting for a library that does not come back; its thread stays behind. */
async function withinTime(opening: Promise<OpenedDevice>, device: string, limit?: number) {
  if (limit === undefined) return opening
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `${device}: its library did not open it within ${limit / 1000} s`
      reject(
        new PolymlaError('POLYMLA_DEVICE_UNAVAILABLE', message, {
          device,
          fix: 'Update the backend and the driver',
        }),
      )
    }, limit)
  })
  try {
    return await Promise.race([opening, late])
  } finally {
    clearTimeout(timer)
  }
}

function deviceInfo(id: string, info: NativeDeviceInfo): DeviceInfo {
  const { status, score, memoryBytes, name, arch, reason, fix } = info
  const description = {
    id,
    name: name || id,
    arch: arch || 'unknown',
    score,
    ...(memoryBytes > 0 && { memoryBytes }),
  }
  if (status === 0) return { ...description, available: true }
  return {
    ...description,
    available: false,
    reason: {
      code: codeOf(status),
      message: reason || `the library gives status ${status} and no reason`,
      fix: fix || 'See the documentation of the backend',
    },
  }
}
