/** A problem that lies on a device, ready to be launched again and again on its default stream. */
export interface Work {
  launch(): void
  /** Floating point operations of one launch, as FlashMLA counts them: 2 · rows · keys · (d_qk + d_v). */
  readonly flop: number
  /** Bytes that one launch has to move: queries, keys and outputs, once each. */
  readonly bytes: number
}

/** Holds what is disposed together, last first. */
export class Scope implements Disposable {
  readonly #held: Disposable[] = []

  hold<T extends Disposable>(resource: T): T {
    this.#held.push(resource)
    return resource
  }

  [Symbol.dispose](): void {
    for (const resource of this.#held.splice(0).reverse()) resource[Symbol.dispose]()
  }
}
