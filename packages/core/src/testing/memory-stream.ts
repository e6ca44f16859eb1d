import type { BackendBuffer, BackendEvent, BackendGraph, BackendStream, TensorRef } from '../backend/index.js'
import type { MemoryDevice } from './memory-backend.js'

export class MemoryBuffer implements BackendBuffer {
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

/** The bytes of a live buffer's range. */
export function range(buffer: BackendBuffer, offset: number, bytes: number): Uint8Array {
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
