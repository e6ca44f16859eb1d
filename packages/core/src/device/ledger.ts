/** What a device holds on behalf of its user. Zero everywhere once everything is disposed: tests assert that. */
export interface DeviceMemory {
  /** Bytes of live allocations: tensors, caches, and the buffers of plans. */
  readonly liveBytes: number
  /** Largest `liveBytes` so far. */
  readonly peakBytes: number
  /** Live handles by kind. */
  readonly handles: Readonly<Record<HandleKind, number>>
  /** The device's own figures, where it gives them. */
  readonly totalBytes?: number
  readonly freeBytes?: number
}

export type HandleKind = 'tensor' | 'stream' | 'event' | 'plan' | 'graph'

/** Counts allocations and handles of one device and reports what was collected without being disposed. */
export class Ledger {
  liveBytes = 0
  peakBytes = 0
  readonly handles: Record<HandleKind, number> = { tensor: 0, stream: 0, event: 0, plan: 0, graph: 0 }
  readonly #leaks: FinalizationRegistry<string>

  constructor(onLeak: (what: string) => void) {
    this.#leaks = new FinalizationRegistry(onLeak)
  }

  opened(kind: HandleKind): void {
    this.handles[kind]++
  }

  closed(kind: HandleKind): void {
    this.handles[kind]--
  }

  allocated(bytes: number): void {
    this.liveBytes += bytes
    if (this.liveBytes > this.peakBytes) this.peakBytes = this.liveBytes
  }

  freed(bytes: number): void {
    this.liveBytes -= bytes
  }

  /** Reports `what` if `owner` is garbage-collected before {@link forget}. */
  watch(owner: object, what: string): void {
    this.#leaks.register(owner, what, owner)
  }

  forget(owner: object): void {
    this.#leaks.unregister(owner)
  }
}
