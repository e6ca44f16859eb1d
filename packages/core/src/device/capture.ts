import type { BackendGraph, BackendPlan, BackendStream } from '../backend/index.js'
import { disposedError, invalidArgument, PolymlaError } from '../errors.js'
import { object } from '../problem/checks.js'
import type { Tensor } from '../tensor/tensor.js'
import type { DeviceContext } from './context.js'
import type { Stream } from './stream.js'

/** A plan as a graph sees it: whether the launch it recorded may still be replayed. */
export interface CapturedPlan {
  /** Throws `POLYMLA_PLAN_STALE` or `POLYMLA_DISPOSED` when not; else orders the replay after the plan's last use. */
  beforeReplay(batch: number, stream: Stream): void
}

type Work = (stream: BackendStream) => void

/** Collects what one capture enqueues: in the backend where it has graphs, as calls to repeat where it has not. */
export class Capture {
  readonly stream: Stream
  readonly calls: Work[] = []
  readonly tensors = new Set<Tensor>()
  readonly plans = new Map<CapturedPlan, number>()
  /** As `Stream.opPlans`: the graph's own, which live and run where it does. */
  readonly opPlans = new Map<string, BackendPlan>()
  readonly #native: boolean

  constructor(stream: Stream) {
    this.stream = stream
    this.#native = stream.backend.beginCapture !== undefined
    stream.backend.beginCapture?.()
  }

  add(stream: Stream, tensors: readonly (Tensor | null)[], work: Work): void {
    if (stream !== this.stream) {
      throw new PolymlaError('POLYMLA_CAPTURE_ILLEGAL', 'a graph holds the work of one stream', {
        fix: 'Leave the stream option out inside capture(), or give it the capturing stream',
      })
    }
    for (const tensor of tensors) if (tensor) this.tensors.add(tensor)
    if (this.#native) work(stream.backend)
    else this.calls.push(work)
  }

  addPlan(plan: CapturedPlan, batch: number): void {
    this.plans.set(plan, batch)
  }

  /** Ends the capture; null where core replays the calls itself. */
  end(): BackendGraph | null {
    try {
      return this.stream.backend.endCapture?.() ?? null
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  dispose(): void {
    for (const plan of this.opPlans.values()) plan.dispose()
    this.opPlans.clear()
  }
}

/**
 * A captured sequence of launches. Replaying it repeats them on the same tensors and plans with whatever those hold by
 * then: update a plan between replays and the next one sees the new lengths.
 */
export class Graph {
  readonly #context: DeviceContext
  readonly #captured: Capture
  readonly #native: BackendGraph | null
  #stream: Stream | null = null
  #disposed = false

  /** @internal Graphs come from `device.capture()`. */
  constructor(context: DeviceContext, captured: Capture) {
    this.#context = context
    this.#captured = captured
    this.#native = captured.end()
    context.ledger.opened('graph')
  }

  /**
   * Enqueues the captured work, after the graph's last replay wherever that was. Throws `POLYMLA_PLAN_STALE` when a plan
   * in it was updated to another batch size or its cache moved on, `POLYMLA_DISPOSED` when a tensor or plan in it is gone.
   */
  replay(options: { stream?: Stream } = {}): void {
    if (this.#disposed) throw disposedError('the graph', this.#context.id)
    const stream = this.#context.streamFor(object('options', options).stream)
    this.#context.notCapturing('graph.replay')
    const { calls, tensors, plans } = this.#captured
    this.#context.assertTensors(tensors)
    for (const [plan, batch] of plans) plan.beforeReplay(batch, stream)
    stream.follow(this.#stream)
    this.#stream = stream
    if (this.#native) this.#native.launch(stream.backend)
    else for (const call of calls) call(stream.backend)
  }

  /** Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#context.ledger.closed('graph')
    if (this.#context.disposed) return
    this.#native?.dispose()
    this.#captured.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Runs `work` while its launches are collected. Throws `POLYMLA_CAPTURE_ILLEGAL` for a nested or asynchronous capture. */
export function capture(context: DeviceContext, work: (stream: Stream) => void, given?: Stream): Graph {
  if (typeof work !== 'function') throw invalidArgument('capture', 'a function', work)
  context.notCapturing('capture')
  const captured = new Capture(context.streamFor(given))
  context.capture = captured
  try {
    const result: unknown = work(captured.stream)
    if (result instanceof Promise) {
      result.catch(() => {})
      throw new PolymlaError('POLYMLA_CAPTURE_ILLEGAL', 'capture: the function returned a promise', {
        fix: 'Enqueue synchronously inside capture()',
      })
    }
  } catch (error) {
    context.capture = null
    abandon(captured)
    throw error
  }
  context.capture = null
  return new Graph(context, captured)
}

function abandon(captured: Capture): void {
  try {
    captured.end()?.dispose()
    captured.dispose()
  } catch {
    // What stopped the capture says more than how the backend took it.
  }
}
