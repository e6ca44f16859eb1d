import { API_VERSION, type Backend, type DeviceInfo } from '../backend/index.js'
import { invalidArgument, PolymlaError } from '../errors.js'
import type { Problem } from '../problem/index.js'
import { DeviceContext } from './context.js'
import { Device, type PassedOver } from './device.js'
import { discoverBackends } from './known-backends.js'
import { consoleLogger, type Logger } from './logger.js'

export interface RuntimeOptions {
  /** Backends to start with. */
  readonly backends?: readonly Backend[]
  /**
   * Also look for installed first-party backends and those that `POLYMLA_BACKENDS` names. Default: true without
   * `backends`, else false.
   */
  readonly discover?: boolean
  /** Default: warnings to `console.warn`. */
  readonly logger?: Logger
  /** Default: the process's environment, empty where there is none. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface SelectOptions {
  /** `auto` passes over devices that cannot do this problem; an explicit device that cannot is an error. */
  readonly require?: Problem
}

/**
 * A set of backends and the devices they find. Most programs use the default one through `listDevices` and
 * `selectDevice`; tests and workers make their own.
 */
export interface Runtime {
  /** Adds a backend. Throws `POLYMLA_INVALID_ARGUMENT` for a malformed one or a name that is taken. */
  registerBackend(backend: Backend): void
  /** Every device of every backend, best first, unusable ones included. Never rejects. */
  listDevices(): Promise<DeviceInfo[]>
  /**
   * Opens a device. `auto` (the default; `POLYMLA_DEVICE` replaces it) takes the usable device with the highest score
   * and remembers in `device.selection` why better ones were passed over. An id (`cuda:1`), or a backend's name for its
   * first usable device (`cuda`), never falls back to another.
   *
   * Throws `POLYMLA_DEVICE_NOT_FOUND`, `POLYMLA_DEVICE_UNAVAILABLE`, `POLYMLA_UNSUPPORTED`.
   */
  selectDevice(id?: string, options?: SelectOptions): Promise<Device>
}

export function createRuntime(options: RuntimeOptions = {}): Runtime {
  const env = options.env ?? processEnv()
  const logger = options.logger ?? consoleLogger
  const discover = options.discover ?? options.backends === undefined
  const backends = new Map<string, Backend>()
  const failures = new Map<string, DeviceInfo>()
  const byDiscovery = new Set<string>()
  let discovered: Promise<void> | null = null

  function registerBackend(backend: Backend): void {
    if (typeof backend?.name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(backend.name)) {
      throw invalidArgument('backend.name', 'lower-case letters, digits and -', backend?.name)
    }
    if (typeof backend.probe !== 'function' || typeof backend.open !== 'function') {
      throw invalidArgument(`backend ${backend.name}`, 'the functions probe and open', backend)
    }
    if (backends.has(backend.name)) {
      throw invalidArgument('backend.name', 'a name that is not registered yet', backend.name)
    }
    backends.set(backend.name, backend)
    failures.delete(backend.name)
  }

  async function discoverOnce(): Promise<void> {
    for (const found of await discoverBackends(env, (name) => backends.has(name))) {
      if ('failure' in found) failures.set(found.name, unusable(found.name, found.failure))
      else if (!backends.has(found.backend.name)) {
        registerBackend(found.backend)
        byDiscovery.add(found.backend.name)
      }
    }
  }

  async function probe(backend: Backend): Promise<readonly DeviceInfo[]> {
    if (backend.apiVersion !== API_VERSION) {
      const message = `backend ${backend.name} was written for contract version ${backend.apiVersion}, this core has ${API_VERSION}`
      return [unusable(backend.name, new PolymlaError('POLYMLA_API_VERSION', message))]
    }
    try {
      return await backend.probe()
    } catch (error) {
      return [unusable(backend.name, error)]
    }
  }

  async function found(): Promise<{ info: DeviceInfo; backend: Backend | null }[]> {
    if (discover) {
      discovered ??= discoverOnce()
      await discovered
    }
    const allowed = allowList(env)
    const asked = [...backends.values()].filter(
      ({ name }) => !allowed || allowed.includes(name) || byDiscovery.has(name),
    )
    const lists = await Promise.all(
      asked.map(async (backend) => (await probe(backend)).map((info) => ({ info, backend }))),
    )
    const broken = [...failures.values()].map((info) => ({ info, backend: null }))
    return [...lists.flat(), ...broken].sort(
      (a, b) => b.info.score - a.info.score || (a.info.id < b.info.id ? -1 : 1),
    )
  }

  async function open(
    backend: Backend | null,
    info: DeviceInfo,
    selection: readonly PassedOver[],
  ): Promise<Device> {
    if (!info.available || !backend) {
      const { reason } = info as DeviceInfo & { available: false }
      throw new PolymlaError('POLYMLA_DEVICE_UNAVAILABLE', `${info.id}: ${reason.message}`, {
        device: info.id,
        fix: reason.fix,
      })
    }
    return new Device(new DeviceContext(info, await backend.open(info), logger), selection)
  }

  async function selectAuto(required: Problem | undefined): Promise<Device> {
    const selection: PassedOver[] = []
    for (const { info, backend } of await found()) {
      try {
        const device = await open(backend, info, selection)
        const answer = required === undefined ? true : device.supports(required)
        if (answer === true) {
          if (info.score === 0) logger('warn', `auto chose ${info.id}, which is exact but slow`)
          return device
        }
        selection.push({ id: info.id, reason: answer })
        await device.dispose()
      } catch (error) {
        selection.push({ id: info.id, reason: error instanceof Error ? error.message : String(error) })
      }
    }
    const reasons = selection.map(({ id, reason }) => `\n  ${id}: ${reason}`).join('')
    throw new PolymlaError(
      'POLYMLA_DEVICE_NOT_FOUND',
      `no usable device${reasons || ': no backend is registered'}`,
      {
        fix: 'Install @polymla/backend-reference, or register a backend with registerBackend()',
      },
    )
  }

  async function selectExplicit(id: string, required: Problem | undefined): Promise<Device> {
    const all = await found()
    const exact = all.find(({ info }) => info.id === id)
    const ofBackend = all.filter(({ info }) => info.id.startsWith(`${id}:`))
    const chosen = exact ?? ofBackend.find(({ info }) => info.available) ?? ofBackend[0]
    if (!chosen) {
      const ids = all.map(({ info }) => info.id).join(', ') || 'none'
      throw new PolymlaError(
        'POLYMLA_DEVICE_NOT_FOUND',
        `there is no device ${JSON.stringify(id)}; there are: ${ids}`,
        {
          fix: "Name one of these, or 'auto'",
        },
      )
    }
    const device = await open(chosen.backend, chosen.info, [])
    const answer = required === undefined ? true : device.supports(required)
    if (answer === true) return device
    await device.dispose()
    throw new PolymlaError('POLYMLA_UNSUPPORTED', `${chosen.info.id}: ${answer}`, { device: chosen.info.id })
  }

  for (const backend of options.backends ?? []) registerBackend(backend)
  return {
    registerBackend,
    listDevices: async () => (await found()).map(({ info }) => info),
    async selectDevice(id = 'auto', { require: required } = {}) {
      if (typeof id !== 'string' || id === '') throw invalidArgument('id', "a device id or 'auto'", id)
      const wanted = id === 'auto' ? env.POLYMLA_DEVICE || 'auto' : id
      return wanted === 'auto' ? selectAuto(required) : selectExplicit(wanted, required)
    },
  }
}

/** `POLYMLA_BACKENDS`: only these backends are probed. */
export function allowList(env: Readonly<Record<string, string | undefined>>): string[] | null {
  const names = (env.POLYMLA_BACKENDS ?? '').split(',').map((name) => name.trim())
  const given = names.filter((name) => name !== '')
  return given.length > 0 ? given : null
}

function unusable(name: string, error: unknown): DeviceInfo {
  const known = error instanceof PolymlaError
  return {
    id: name,
    name,
    arch: 'unknown',
    score: 0,
    available: false,
    reason: {
      code: known ? error.code : 'POLYMLA_BACKEND_LOAD_FAILED',
      message: error instanceof Error ? error.message : String(error),
      fix: (known && error.fix) || `Reinstall or update the backend, or leave it out with POLYMLA_BACKENDS`,
    },
  }
}

function processEnv(): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return process?.env ?? {}
}

let defaultRuntime: Runtime | undefined
const runtime = () => (defaultRuntime ??= createRuntime())

/** {@link Runtime.registerBackend} of the default runtime. */
export const registerBackend = (backend: Backend): void => runtime().registerBackend(backend)
/** {@link Runtime.listDevices} of the default runtime. */
export const listDevices = (): Promise<DeviceInfo[]> => runtime().listDevices()
/** {@link Runtime.selectDevice} of the default runtime. */
export const selectDevice = (id?: string, options?: SelectOptions): Promise<Device> =>
  runtime().selectDevice(id, options)
/** {@link selectDevice} for an explicit id. */
export const createDevice = (id: string, options?: SelectOptions): Promise<Device> =>
  selectDevice(id, options)
