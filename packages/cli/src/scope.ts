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
