import type { BackendEvent } from '@polymla/core'

interface Waiter {
  resolve(): void
  reject(failure: unknown): void
}

/** What a stream's earlier work ended with. */
export type Outcome = { readonly failure: unknown } | null

/** A mark in a stream's queue. Its time is the moment at which the stream reached it. */
export class ReferenceEvent implements BackendEvent {
  /** Undefined until the stream has come to the mark. */
  #outcome: Outcome | undefined
  #time = Number.NaN
  readonly #waiters: Waiter[] = []

  settle(outcome: Outcome): void {
    this.#outcome = outcome
    this.#time = performance.now()
    for (const { resolve, reject } of this.#waiters) outcome ? reject(outcome.failure) : resolve()
    this.#waiters.length = 0
  }

  /** The event loop must turn for work to go on: poll from a timer, not in a loop. */
  query(): boolean {
    if (this.#outcome) throw this.#outcome.failure
    return this.#outcome === null
  }

  done(): Promise<void> {
    if (this.#outcome === null) return Promise.resolve()
    if (this.#outcome) return Promise.reject(this.#outcome.failure)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  elapsedSince(earlier: BackendEvent): number {
    return (this.#time - (earlier as ReferenceEvent).#time) * 1000
  }

  /** Nothing to release; streams that wait for the event still do. */
  dispose(): void {}
}
