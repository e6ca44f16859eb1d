import type { BackendBuffer, BackendEvent, BackendStream } from '@polymla/core'
import type { Block } from './arena.js'
import { bytesOf } from './buffer.js'
import { type Outcome, ReferenceEvent } from './event.js'
import type { Kernel } from './kernels/kernel.js'
import { type KernelName, kernels } from './kernels/registry.js'
import type { WorkerPool } from './worker-pool.js'

/** Up to here a fill or copy is faster done than handed to another thread. */
const INLINE_BYTES = 64 * 2 ** 10
/** Bytes that move between host and device before the event loop gets its turn. */
const TRANSFER_BYTES = 4 * 2 ** 20

type Step = (outcome: Outcome) => Promise<void> | undefined

/** A first-in, first-out queue of steps. A step of an idle stream begins in the very call that enqueues it. */
export class ReferenceStream implements BackendStream {
  readonly #pool: WorkerPool
  readonly #gone: () => void
  readonly #steps: Step[] = []
  #busy = false
  /** The first failure. Later work is dropped, events report it. */
  #outcome: Outcome = null

  /** @param gone called when the stream is disposed and its work done */
  constructor(pool: WorkerPool, gone: () => void) {
    this.#pool = pool
    this.#gone = gone
  }

  /** Whether work is under way. */
  get busy(): boolean {
    return this.#busy
  }

  upload(target: BackendBuffer, targetOffset: number, source: Uint8Array): void {
    const to = bytesOf(target, targetOffset, source.length)
    if (this.#busy) {
      const kept = source.slice()
      this.#work(() => transfer(kept, array(to)))
    } else if (!this.#outcome) {
      array(to).set(source)
    }
  }

  download(source: BackendBuffer, sourceOffset: number, target: Uint8Array): void {
    const from = bytesOf(source, sourceOffset, target.length)
    this.#work(() => transfer(array(from), target))
  }

  fill(buffer: BackendBuffer, targetOffset: number, bytes: number, value: number): void {
    const target = bytesOf(buffer, targetOffset, bytes)
    this.#work(() => {
      if (bytes > INLINE_BYTES) return this.#compute('fillBytes', null, { target, value })
      array(target).fill(value)
      return undefined
    })
  }

  copy(
    from: BackendBuffer,
    sourceOffset: number,
    to: BackendBuffer,
    targetOffset: number,
    bytes: number,
  ): void {
    const source = bytesOf(from, sourceOffset, bytes)
    const target = bytesOf(to, targetOffset, bytes)
    this.#work(() => {
      if (bytes > INLINE_BYTES) return this.#compute('copyBytes', null, { source, target })
      array(target).set(array(source))
      return undefined
    })
  }

  record(): BackendEvent {
    const event = new ReferenceEvent()
    this.afterwards((outcome) => event.settle(outcome))
    return event
  }

  /** When the event's work failed, this stream's has too: it would go on from results that are not there. */
  wait(event: BackendEvent): void {
    this.#work(() => (event.query() ? undefined : event.done()))
  }

  /** Enqueues a kernel. `args` is this stream's from now on. */
  launch(kernel: KernelName, problem: unknown, args: unknown): void {
    this.#work(() => this.#compute(kernel, problem, args))
  }

  /** Calls back when all that is enqueued now is done or dropped. */
  afterwards(callback: (outcome: Outcome) => void): void {
    this.#enqueue((outcome) => {
      callback(outcome)
      return undefined
    })
  }

  dispose(): void {
    this.afterwards(this.#gone)
  }

  /** Enqueues work, to be dropped when earlier work failed. */
  #work(step: () => Promise<void> | undefined): void {
    this.#enqueue((outcome) => (outcome ? undefined : step()))
  }

  #enqueue(step: Step): void {
    this.#steps.push(step)
    if (!this.#busy) void this.#drain()
  }

  async #drain(): Promise<void> {
    this.#busy = true
    for (let step = this.#steps.shift(); step; step = this.#steps.shift()) {
      try {
        const pending = step(this.#outcome)
        if (pending) await pending
      } catch (failure) {
        this.#outcome ??= { failure }
      }
    }
    this.#busy = false
  }

  async #compute(name: KernelName, problem: unknown, args: unknown): Promise<void> {
    const kernel = kernels[name] as Kernel<never, never>
    for (const [phase, { units }] of kernel.entries()) {
      await this.#pool.run({
        kernel: name,
        phase,
        problem,
        args,
        units: units(problem as never, args as never),
      })
    }
  }
}

function array({ memory, byteOffset, bytes }: Block): Uint8Array {
  return new Uint8Array(memory, byteOffset, bytes)
}

/** Copies between host and device without holding up the event loop for long. */
async function transfer(source: Uint8Array, target: Uint8Array): Promise<void> {
  for (let begin = 0; begin < source.length; begin += TRANSFER_BYTES) {
    if (begin > 0) await new Promise((resolve) => setImmediate(resolve))
    target.set(source.subarray(begin, begin + TRANSFER_BYTES), begin)
  }
}
