import {
  API_VERSION,
  type Backend,
  type BackendBuffer,
  type BackendDevice,
  type BackendPlan,
  type DeviceInfo,
  type DevicePeaks,
  type LaunchArgs,
} from '../backend/index.js'
import { PolymlaError } from '../errors.js'
import type { Op, Problem } from '../problem/index.js'
import type { CostModel } from '../scheduler/index.js'
import { MemoryPlan } from './memory-plan.js'
import { MemoryBuffer, MemoryStream } from './memory-stream.js'

/** What the memory backend has and how it fails; tests change it as they go. */
export interface MemoryOptions {
  name?: string
  ids?: readonly string[]
  score?: number
  /** Has native graphs. */
  graphs?: boolean
  /** Adopts foreign memory and streams, and has addresses. */
  adopts?: boolean
  costModel?: CostModel
  /** Computes schedules from lengths on the device. */
  schedules?: boolean
  workspaceBytes?: number
  supports?: (problem: Problem) => true | string
  /** Leaves events pending until `settle()`. */
  pending?: boolean
  /** Calls that fail, by name, with the error to throw. */
  failures?: Partial<Record<'open' | 'createStream' | 'upload' | 'endCapture' | 'event', Error>>
  /** Allocations before the device is out of memory. */
  allocations?: number
  /** What the device measures of itself. */
  peaks?: DevicePeaks
}

/** A launch as the backend got it. */
export interface Launch<O extends Op = Op> {
  readonly problem: Extract<Problem, { op: O }>
  readonly args: LaunchArgs[O]
  readonly stream: MemoryStream
}

const LIMIT_BYTES = 2 ** 24

/** A backend that keeps bytes and computes nothing: it records what core asks of it, at once and in order. */
export class MemoryBackend implements Backend {
  readonly name: string
  apiVersion = API_VERSION
  readonly opened: MemoryDevice[] = []
  readonly options: MemoryOptions

  constructor(options: MemoryOptions = {}) {
    this.name = options.name ?? 'memory'
    this.options = options
  }

  async probe(): Promise<DeviceInfo[]> {
    const { ids = [this.name], score = 50 } = this.options
    return ids.map((id) => ({ id, name: `Memory ${id}`, arch: 'none', score, available: true }))
  }

  async open(): Promise<MemoryDevice> {
    if (this.options.failures?.open) throw this.options.failures.open
    const device = new MemoryDevice(this.options)
    this.opened.push(device)
    return device
  }
}

type Kind = 'buffers' | 'streams' | 'events' | 'plans' | 'graphs'

export class MemoryDevice implements BackendDevice {
  readonly options: MemoryOptions
  /** Everything that was written or launched, by name, in order. */
  readonly log: string[] = []
  readonly launches: Launch[] = []
  /** Backend objects that core has not given back. */
  readonly live: Record<Kind, number> = { buffers: 0, streams: 0, events: 0, plans: 0, graphs: 0 }
  readonly adopt?: (pointer: bigint, bytes: number) => MemoryBuffer
  readonly adoptStream?: (pointer: bigint) => MemoryStream
  readonly measurePeaks?: () => Promise<DevicePeaks>
  readonly #pending: (() => void)[] = []
  #allocated = 0
  disposed = false

  constructor(options: MemoryOptions) {
    this.options = options
    const { peaks } = options
    if (peaks) this.measurePeaks = async () => peaks
    if (!options.adopts) return
    this.adopt = (pointer, bytes) => {
      if (bytes > LIMIT_BYTES) throw new PolymlaError('POLYMLA_OUT_OF_MEMORY', `no ${bytes} bytes there`)
      return new MemoryBuffer(this, bytes, pointer)
    }
    this.adoptStream = () => this.createStream()
  }

  alloc(bytes: number): MemoryBuffer {
    this.use(this)
    const { allocations = Number.POSITIVE_INFINITY } = this.options
    if (!(bytes > 0)) throw new Error(`contract broken: alloc(${bytes})`)
    if (this.#allocated >= allocations || bytes > LIMIT_BYTES) {
      throw new PolymlaError('POLYMLA_OUT_OF_MEMORY', `no ${bytes} bytes left`)
    }
    this.#allocated++
    this.live.buffers++
    return new MemoryBuffer(this, bytes, this.options.adopts ? BigInt(this.#allocated) << 32n : undefined)
  }

  free(buffer: BackendBuffer): void {
    this.close('buffers', buffer as MemoryBuffer)
  }

  memory() {
    return { totalBytes: LIMIT_BYTES, freeBytes: LIMIT_BYTES / 2 }
  }

  createStream(): MemoryStream {
    this.use(this)
    if (this.options.failures?.createStream) throw this.options.failures.createStream
    this.live.streams++
    return new MemoryStream(this)
  }

  supports(problem: Problem): true | string {
    return this.options.supports?.(problem) ?? true
  }

  prepare<P extends Problem>(problem: P): BackendPlan<P> {
    this.use(this)
    this.live.plans++
    return new MemoryPlan(this, problem)
  }

  async dispose(): Promise<void> {
    this.use(this)
    this.disposed = true
  }

  /** Lets pending events be done. */
  settle(): void {
    for (const resolve of this.#pending.splice(0)) resolve()
  }

  /** Resolves when an event recorded now is done. */
  async whenDone(): Promise<void> {
    if (this.options.pending) await new Promise<void>((resolve) => this.#pending.push(resolve))
    if (this.options.failures?.event) throw this.options.failures.event
  }

  use(handle: { disposed: boolean }): void {
    if (this.disposed || handle.disposed) throw new Error('contract broken: used after it was disposed')
  }

  close(kind: Kind, handle: { disposed: boolean }): void {
    this.use(handle)
    handle.disposed = true
    this.live[kind]--
  }
}
