import type { BackendEvent, BackendPlan, BackendStream } from '../backend/index.js'
import { disposedError, invalidArgument, inWords, PolymlaError } from '../errors.js'
import { object } from '../problem/checks.js'
import type { DeviceContext } from './context.js'

/** A queue of work on one device: what is enqueued on one stream happens in order; different streams are unordered. */
export class Stream {
  /** @internal */
  readonly backend: BackendStream
  /** Prepared problems of the ops without a plan in the API, by problem, least recently used first. @internal */
  readonly opPlans = new Map<string, BackendPlan>()
  readonly #context: DeviceContext
  readonly #owned: boolean
  #disposed = false

  /** @internal Streams come from `device.stream()`. */
  constructor(context: DeviceContext, backend: BackendStream, owned: boolean) {
    this.#context = context
    this.backend = backend
    this.#owned = owned
    if (owned) context.ledger.opened('stream')
  }

  get disposed(): boolean {
    return this.#disposed || this.#context.disposed
  }

  /** Marks the current end of the queue. */
  record(): Event {
    this.#enter('stream.record')
    return new Event(this.#context, this.backend.record())
  }

  /** Holds back all later work on this stream until the event, of any stream of the device, is done. */
  wait(event: Event): void {
    this.#enter('stream.wait')
    this.backend.wait(backendEvent(this.#context, 'event', event))
  }

  /** Holds back all later work on this stream until what another has enqueued so far is done. @internal */
  follow(other: Stream | null): void {
    if (!other || other === this || other.disposed) return
    const event = other.backend.record()
    this.backend.wait(event)
    event.dispose()
  }

  /** Resolves when everything enqueued so far is done. */
  async synchronize(options: { signal?: AbortSignal } = {}): Promise<void> {
    const event = this.record()
    try {
      await event.done(options)
    } finally {
      event.dispose()
    }
  }

  /** @internal */
  assertUsable(context: DeviceContext): void {
    context.assertLive()
    if (this.#context !== context) {
      throw invalidArgument(
        'stream',
        `a stream of this device, ${context.id}`,
        inWords(`one of another, ${this.#context.id}`),
      )
    }
    if (this.#disposed) throw disposedError('the stream', context.id)
  }

  /**
   * Work already enqueued still completes, but nothing is ordered after it any more: synchronize first where a plan or
   * graph goes on elsewhere. Idempotent; without effect on the default stream. Throws `POLYMLA_CAPTURE_ILLEGAL`.
   */
  dispose(): void {
    if (this.#disposed || !this.#owned) return
    this.#context.notCapturing('stream.dispose')
    this.#disposed = true
    this.#context.ledger.closed('stream')
    if (this.#context.disposed) return
    for (const plan of this.opPlans.values()) plan.dispose()
    this.backend.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #enter(call: string): void {
    this.assertUsable(this.#context)
    this.#context.notCapturing(call)
  }
}

/** A point in a stream's queue. */
export class Event {
  readonly #context: DeviceContext
  readonly #backend: BackendEvent
  #disposed = false

  /** @internal Events come from `stream.record()`. */
  constructor(context: DeviceContext, backend: BackendEvent) {
    this.#context = context
    this.#backend = backend
    context.ledger.opened('event')
  }

  /** True when the work is done. Throws what the work failed with. */
  query(): boolean {
    return this.backendOn(this.#context).query()
  }

  /**
   * Resolves when the work is done, rejects when it failed. Aborting gives up the wait, with `POLYMLA_ABORTED`: work
   * that was enqueued still completes and its buffers stay held until then.
   */
  async done(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = object('options', options)
    if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
      throw invalidArgument('signal', 'an AbortSignal', signal)
    }
    const done = this.backendOn(this.#context).done()
    await (signal ? abortable(done, signal) : done)
  }

  /** Device time in microseconds since an earlier event; both must be done. */
  elapsedSince(earlier: Event): number {
    const begin = backendEvent(this.#context, 'earlier', earlier)
    const end = this.backendOn(this.#context)
    if (!begin.query() || !end.query()) {
      throw invalidArgument(
        'earlier',
        'events that are both done',
        inWords('work that is not'),
        'Await event.done()',
      )
    }
    return end.elapsedSince(begin)
  }

  /** @internal */
  backendOn(context: DeviceContext): BackendEvent {
    context.assertLive()
    if (this.#context !== context) {
      throw invalidArgument(
        'event',
        `an event of this device, ${context.id}`,
        inWords(`one of another, ${this.#context.id}`),
      )
    }
    if (this.#disposed) throw disposedError('the event', context.id)
    return this.#backend
  }

  /** Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#context.ledger.closed('event')
    if (!this.#context.disposed) this.#backend.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function backendEvent(context: DeviceContext, path: string, event: Event): BackendEvent {
  if (!(event instanceof Event)) throw invalidArgument(path, 'an event from stream.record()', event)
  return event.backendOn(context)
}

function abortable(done: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () =>
      reject(
        new PolymlaError('POLYMLA_ABORTED', 'the wait was aborted; the work itself goes on', {
          cause: signal.reason,
        }),
      )
    if (signal.aborted) {
      done.catch(() => {})
      return abort()
    }
    signal.addEventListener('abort', abort, { once: true })
    done.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
