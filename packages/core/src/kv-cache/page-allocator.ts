import { PolymlaError } from '../errors.js'

/**
 * Reference counts of page ids 0 to `pages` − 1. A page is free while nobody holds it. The same calls give the same
 * ids: the page freed last is handed out first, pages never used from the lowest up.
 */
export class PageAllocator {
  readonly pages: number
  readonly #references: Int32Array
  /** Free ids; the next to hand out lies on top, at `#free` − 1. */
  readonly #stack: Int32Array
  #free = 0

  constructor(pages: number) {
    this.pages = pages
    this.#references = new Int32Array(pages)
    this.#stack = new Int32Array(pages)
    this.#restack()
  }

  /** Number of free pages. */
  get free(): number {
    return this.#free
  }

  /** How many hold the page. */
  references(page: number): number {
    return this.#references[page]
  }

  /** Takes `count` pages, each held once: all of them or, with `POLYMLA_OUT_OF_MEMORY`, none. */
  allocate(count: number): Int32Array {
    if (count > this.#free) throw outOfPages(count, this.#free, this.pages)
    this.#free -= count
    const taken = this.#stack.slice(this.#free, this.#free + count).reverse()
    for (const page of taken) this.#references[page] = 1
    return taken
  }

  /** One more holder of a held page. */
  retain(page: number): void {
    this.#assertHeld(page)
    this.#references[page]++
  }

  /** One holder less; returns how many are left. */
  release(page: number): number {
    this.#assertHeld(page)
    const left = --this.#references[page]
    if (left === 0) this.#stack[this.#free++] = page
    return left
  }

  /**
   * The moves, as flat (from, to) pairs, that bring all held pages to the lowest ids: the highest held pages fill the
   * holes below. With n pages held, every `from` is ≥ n and every `to` < n, so one parallel copy does it.
   */
  compaction(): Int32Array {
    const held = this.pages - this.#free
    const moves: number[] = []
    let from = this.pages
    for (let to = 0; to < held; to++) {
      if (this.#references[to] > 0) continue
      do from--
      while (this.#references[from] === 0)
      moves.push(from, to)
    }
    return Int32Array.from(moves)
  }

  /** Hands the references of each `from` to its free `to`; afterwards the lowest free page is next. */
  move(moves: Int32Array): void {
    for (let i = 0; i < moves.length; i += 2) {
      this.#references[moves[i + 1]] = this.#references[moves[i]]
      this.#references[moves[i]] = 0
    }
    this.#restack()
  }

  #restack(): void {
    this.#free = 0
    for (let page = this.pages - 1; page >= 0; page--) {
      if (this.#references[page] === 0) this.#stack[this.#free++] = page
    }
  }

  #assertHeld(page: number): void {
    if (!(this.#references[page] > 0)) {
      throw new PolymlaError('POLYMLA_INTERNAL', `page ${page} of ${this.pages} is used without being held`)
    }
  }
}

/** The error for a request that the pages left cannot meet. */
export function outOfPages(asked: number, free: number, pages: number): PolymlaError {
  return new PolymlaError('POLYMLA_OUT_OF_MEMORY', `${asked} pages asked, ${free} of ${pages} free`, {
    expected: `at most ${free} pages`,
    found: `${asked}`,
    fix: 'Free or truncate sequences, or create the cache with more pages',
  })
}
