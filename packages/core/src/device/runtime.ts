import { API_VERSION, type Backend, type DeviceInfo, unavailableReason } from '../backend/index.js'
import { invalidArgument, PolymlaError } from '../errors.js'
import { boolean, finite, options as known, object } from '../problem/checks.js'
import type { Problem } from '../problem/index.js'
import { checkProblem } from '../problem/problem.js'
import { DeviceContext } from './context.js'
import { Device, type PassedOver } from './device.js'
import { allowList, discoverBackends, discoverOnRequest } from './known-backends.js'
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
  /** The backends so far; discovery adds to them with the first listing. */
  readonly backends: readonly Backend[]
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

interface Found {
  readonly info: DeviceInfo
  readonly backend: Backend
}

/** Makes a runtime of its own. Throws `POLYMLA_INVALID_ARGUMENT` for options or backends that are malformed. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  known('options', options, ['backends', 'discover', 'logger', 'env'])
  if (options.backends !== undefined && !Array.isArray(options.backends)) {
    throw invalidArgument('backends', 'an array of backends', options.backends)
  }
  const env = options.env ?? processEnv()
  const logger = options.logger ?? consoleLogger
  const discover = options.discover ?? options.backends === undefined
  const backends = new Map<string, Backend>()
  const failures = new Map<string, Backend>()
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

  function take(backend: Backend): void {
    if (!backends.has(backend?.name)) registerBackend(backend)
    byDiscovery.add(backend.name)
  }

  const discoverOnce = () =>
    discoverBackends(env, {
      registered: (name) => backends.has(name),
      take,
      fail: (name, failure) => failures.set(name, broken(name, failure)),
    })

  async function probe(backend: Backend): Promise<readonly DeviceInfo[]> {
    if (backend.apiVersion !== API_VERSION) {
      const message = `backend ${backend.name} was written for contract version ${backend.apiVersion}, this core has ${API_VERSION}`
      return [unusable(backend.name, new PolymlaError('POLYMLA_API_VERSION', message))]
    }
    try {
      const infos = await backend.probe()
      return infos.map((info) => checkInfo(backend.name, info))
    } catch (error) {
      return [unusable(backend.name, error)]
    }
  }

  async function found(): Promise<Found[]> {
    if (discover) {
      discovered ??= discoverOnce()
      await discovered
    }
    const allowed = allowList(env)
    const asked = [...backends.values()].filter(
      ({ name }) => !allowed || allowed.includes(name) || byDiscovery.has(name),
    )
    const lists = await Promise.all(
      [...asked, ...failures.values()].map(async (backend) =>
        (await probe(backend)).map((info) => ({ info, backend })),
      ),
    )
    return lists
      .flat()
      .sort(
        (a, b) => b.info.score - a.info.score || a.info.id.localeCompare(b.info.id, 'en', { numeric: true }),
      )
  }

  /** Opens a usable device, or returns why it cannot do what is required; nothing stays open then. */
  async function open(
    { backend, info }: Found,
    required: Problem | undefined,
    selection: readonly PassedOver[],
  ): Promise<Device | string> {
    const opened = await backend.open(info)
    let kept = false
    try {
      const device = new Device(new DeviceContext(info, opened, logger), selection)
      const answer = required === undefined || device.supports(required)
      kept = answer === true
      return answer === true ? device : answer
    } finally {
      if (!kept) await opened.dispose()
    }
  }

  async function selectAuto(required: Problem | undefined): Promise<Device> {
    const selection: PassedOver[] = []
    for (const candidate of await found()) {
      const { info } = candidate
      try {
        const opened = info.available ? await open(candidate, required, selection) : info.reason.message
        if (typeof opened !== 'string') {
          if (info.score === 0) logger('warn', `auto chose ${info.id}, which is exact but slow`)
          return opened
        }
        selection.push({ id: info.id, reason: opened })
      } catch (error) {
        selection.push({ id: info.id, reason: messageOf(error) })
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

  /** Asks for a backend that discovery leaves out until it is named. */
  async function discoverNamed(name: string): Promise<void> {
    if (!discover || backends.has(name)) return
    const backend = await discoverOnRequest(name, env)
    if (backend) take(backend)
  }

  async function selectExplicit(id: string, required: Problem | undefined): Promise<Device> {
    const [name] = id.split(':')
    await discoverNamed(name)
    const all = await found()
    const exact = all.find(({ info }) => info.id === id)
    const ofBackend = all.filter(({ info }) => info.id.startsWith(`${id}:`))
    // A backend that found no devices is listed by its name, with the reason.
    const whole = all.find(({ info }) => info.id === name && !info.available)
    const chosen = exact ?? ofBackend.find(({ info }) => info.available) ?? ofBackend[0] ?? whole
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
    const { info } = chosen
    if (!info.available) {
      throw new PolymlaError('POLYMLA_DEVICE_UNAVAILABLE', `${info.id}: ${info.reason.message}`, {
        device: info.id,
        fix: info.reason.fix,
      })
    }
    const opened = await open(chosen, required, [])
    if (typeof opened !== 'string') return opened
    throw new PolymlaError('POLYMLA_UNSUPPORTED', `${info.id}: ${opened}`, { device: info.id })
  }

  for (const backend of options.backends ?? []) registerBackend(backend)
  return {
    registerBackend,
    get backends() {
      return [...backends.values()]
    },
    listDevices: async () => (await found()).map(({ info }) => info),
    async selectDevice(id = 'auto', given = {}) {
      if (typeof id !== 'string' || id === '') throw invalidArgument('id', "a device id or 'auto'", id)
      const { require: problem } = known('options', given, ['require'])
      const required = problem === undefined ? undefined : checkProblem(problem)
      const wanted = id === 'auto' ? env.POLYMLA_DEVICE || 'auto' : id
      return wanted === 'auto' ? selectAuto(required) : selectExplicit(wanted, required)
    },
  }
}

/** A backend that could not be loaded, so that it is listed with its reason. */
function broken(name: string, failure: unknown): Backend {
  const fail = () => Promise.reject(failure)
  return { name, apiVersion: API_VERSION, probe: fail, open: fail }
}

function unusable(name: string, error: unknown): DeviceInfo {
  const fix = 'Reinstall or update the backend, or leave it out with POLYMLA_BACKENDS'
  return {
    id: name,
    name,
    arch: 'unknown',
    score: 0,
    available: false,
    reason: unavailableReason(error, fix),
  }
}

/** What a backend lists comes from outside: everything that core goes by is checked. */
function checkInfo(backend: string, info: DeviceInfo): DeviceInfo {
  const { id, score, available } = object(`device of backend ${backend}`, info)
  if (typeof id !== 'string' || (id !== backend && !id.startsWith(`${backend}:`))) {
    throw invalidArgument('id', `${backend} or ${backend}:<index>`, id)
  }
  finite(`${id}.score`, score)
  if (!boolean(`${id}.available`, available)) object(`${id}.reason`, (info as { reason: object }).reason)
  return info
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
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
export async function createDevice(id: string, options?: SelectOptions): Promise<Device> {
  if (id === undefined) throw invalidArgument('id', "a device id or 'auto'", id)
  return selectDevice(id, options)
}
