/** What a cache keeps of one sequence; changed by the cache alone. */
export interface SequenceState {
  length: number
  readonly pages: number[]
  version: number
  freed: boolean
}

/**
 * The tokens of one request in a `PagedKvCache`: a read-only handle, changed through the cache's calls.
 * `using sequence = cache.createSequence()` frees it at the end of the block.
 */
export class Sequence {
  readonly #state: SequenceState
  readonly #free: () => void

  /** @internal Sequences come from `cache.createSequence` and `cache.fork`. */
  constructor(state: SequenceState, free: () => void) {
    this.#state = state
    this.#free = free
  }

  /** Tokens in the cache; 0 once freed. */
  get length(): number {
    return this.#state.length
  }

  /** Ids of the pages that hold them, ceil(length / pageSize), in order. A live view: it follows every change. */
  get pages(): readonly number[] {
    return this.#state.pages
  }

  /** Grows whenever the length or the pages change. */
  get version(): number {
    return this.#state.version
  }

  /** True once the sequence was freed, or its cache disposed. */
  get disposed(): boolean {
    return this.#state.freed
  }

  /** Gives its pages back, as `cache.free` does. Idempotent. */
  dispose(): void {
    this.#free()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
