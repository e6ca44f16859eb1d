import {
  API_VERSION,
  type Backend,
  type BackendBuffer,
  type BackendDevice,
  type BackendEvent,
  type BackendGraph,
  type BackendPlan,
  type BackendStream,
  type DeviceInfo,
  type LaunchArgs,
  type ScheduleArgs,
  type TensorRef,
} from '../backend/index.js'
import { PolymlaError } from '../errors.js'
import type { Op, Problem } from '../problem/index.js'
import { type CostModel, computeSchedule, sparseLengths } from '../scheduler/index.js'

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
}

/** A launch as the backend got it. */
export interface Launch<O extends Op = Op> {
  readonly problem: Extract<Problem, { op: O }>
  readonly args: LaunchArgs[O]
  readonly stream: MemoryStream
}

const LIMIT_BYTES = 2 ** 28

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
  readonly #pending: (() => void)[] = []
  #allocated = 0
  disposed = false

  constructor(options: MemoryOptions) {
    this.options = options
    if (!options.adopts) return
    this.adopt = (pointer, bytes) => new MemoryBuffer(this, bytes, pointer)
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

class MemoryBuffer implements BackendBuffer {
  readonly device: MemoryDevice
  readonly bytes: number
  readonly pointer?: bigint
  readonly data: Uint8Array
  disposed = false

  constructor(device: MemoryDevice, bytes: number, pointer: bigint | undefined) {
    this.device = device
    this.bytes = bytes
    if (pointer !== undefined) this.pointer = pointer
    this.data = new Uint8Array(bytes)
  }

  /** The bytes of a range, which must lie inside. */
  range(offset: number, bytes: number): Uint8Array {
    this.device.use(this)
    if (!(offset >= 0 && offset + bytes <= this.bytes)) throw new Error('contract broken: out of bounds')
    return this.data.subarray(offset, offset + bytes)
  }
}

function range(buffer: BackendBuffer, offset: number, bytes: number): Uint8Array {
  return (buffer as MemoryBuffer).range(offset, bytes)
}

/** The int32 that a launch was given, as they are now. */
export function integers({ buffer, byteOffset, shape }: TensorRef): Int32Array {
  const count = shape.reduce((product, extent) => product * extent, 1)
  return new Int32Array(range(buffer, byteOffset, count * 4).slice().buffer)
}

export class MemoryStream implements BackendStream {
  readonly #device: MemoryDevice
  readonly beginCapture?: () => void
  readonly endCapture?: () => BackendGraph
  #captured: ((stream: MemoryStream) => void)[] | null = null
  disposed = false

  constructor(device: MemoryDevice) {
    this.#device = device
    if (!device.options.graphs) return
    this.beginCapture = () => {
      this.#captured = []
    }
    this.endCapture = () => {
      const calls = this.#captured ?? []
      this.#captured = null
      if (device.options.failures?.endCapture) throw device.options.failures.endCapture
      device.live.graphs++
      const graph = { disposed: false, dispose: () => device.close('graphs', graph) }
      return Object.assign(graph, {
        launch: (stream: BackendStream) => {
          device.use(graph)
          for (const call of calls) call(stream as MemoryStream)
        },
      })
    }
  }

  upload(target: BackendBuffer, targetOffset: number, source: Uint8Array): void {
    if (this.#captured) throw new Error('contract broken: upload in a capture')
    if (this.#device.options.failures?.upload) throw this.#device.options.failures.upload
    this.enqueue('upload', () => range(target, targetOffset, source.length).set(source))
  }

  download(source: BackendBuffer, sourceOffset: number, target: Uint8Array): void {
    if (this.#captured) throw new Error('contract broken: download in a capture')
    this.enqueue('download', () => target.set(range(source, sourceOffset, target.length)))
  }

  fill(target: BackendBuffer, targetOffset: number, bytes: number, value: number): void {
    this.enqueue('fill', () => range(target, targetOffset, bytes).fill(value))
  }

  copy(from: BackendBuffer, fromOffset: number, to: BackendBuffer, toOffset: number, bytes: number): void {
    this.enqueue('copy', () => range(to, toOffset, bytes).set(range(from, fromOffset, bytes)))
  }

  /** Does the work, or has it done by each launch of the graph being captured. */
  enqueue(what: string, work: (stream: MemoryStream) => void): void {
    this.#device.use(this)
    const call = (stream: MemoryStream) => {
      this.#device.log.push(what)
      work(stream)
    }
    if (this.#captured) this.#captured.push(call)
    else call(this)
  }

  record(): BackendEvent {
    const device = this.#device
    device.use(this)
    device.live.events++
    let settled = false
    const done = device.whenDone().finally(() => {
      settled = true
    })
    done.catch(() => {})
    const at = device.log.length
    const event = {
      at,
      disposed: false,
      query: () => {
        device.use(event)
        if (device.options.failures?.event) throw device.options.failures.event
        return settled || !device.options.pending
      },
      done: () => {
        device.use(event)
        return done
      },
      elapsedSince: (earlier: BackendEvent) => at - (earlier as typeof event).at,
      dispose: () => device.close('events', event),
    }
    return event
  }

  wait(event: BackendEvent): void {
    event.query()
    this.enqueue('wait', () => {})
  }

  dispose(): void {
    this.#device.close('streams', this)
  }
}

class MemoryPlan<P extends Problem> implements BackendPlan<P> {
  readonly #device: MemoryDevice
  readonly #problem: P
  readonly workspaceBytes: number
  readonly costModel?: CostModel
  readonly schedule?: (stream: BackendStream, args: ScheduleArgs) => void
  disposed = false

  constructor(device: MemoryDevice, problem: P) {
    const { workspaceBytes = 0, costModel, schedules } = device.options
    this.#device = device
    this.#problem = problem
    this.workspaceBytes = workspaceBytes
    if (!costModel || (problem.op !== 'decode' && problem.op !== 'sparseDecode')) return
    this.costModel = costModel
    if (!schedules) return
    this.schedule = (stream, args) => {
      device.use(this)
      ;(stream as MemoryStream).enqueue('schedule', () => scheduleOnDevice(problem, args))
    }
  }

  launch(stream: BackendStream, args: LaunchArgs[P['op']]): void {
    this.#device.use(this)
    const kept = { ...args } as LaunchArgs[Op]
    ;(stream as MemoryStream).enqueue(`launch ${this.#problem.op}`, (target) => {
      this.#device.use(this)
      for (const arg of Object.values(kept)) if (arg?.buffer) range(arg.buffer, arg.byteOffset, 0)
      this.#device.launches.push({ problem: this.#problem, args: kept, stream: target } as Launch)
    })
  }

  dispose(): void {
    this.#device.close('plans', this)
  }
}

function scheduleOnDevice(problem: Problem, args: ScheduleArgs): void {
  const { batch, pageSize } = args
  const lengths = new Int32Array(batch)
  if (problem.op === 'sparseDecode') {
    const load = {
      batch,
      topk: problem.topk,
      topkLength: args.lengths ? integers(args.lengths) : undefined,
      extraTopk: problem.extra?.topk,
      extraTopkLength: args.extraLengths ? integers(args.extraLengths) : undefined,
    }
    sparseLengths(load, pageSize, lengths)
  } else if (args.lengths) {
    lengths.set(integers(args.lengths).subarray(0, batch))
  }
  const schedule = integers(args.schedule)
  const numSplits = integers(args.numSplits)
  computeSchedule(lengths, batch, args, schedule, numSplits)
  store(args.schedule, schedule)
  store(args.numSplits, numSplits)
}

function store({ buffer, byteOffset }: TensorRef, values: Int32Array): void {
  range(buffer, byteOffset, values.byteLength).set(new Uint8Array(values.buffer))
}
