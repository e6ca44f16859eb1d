import { invalidArgument } from '../errors.js'
import type { PageAllocator } from './page-allocator.js'

/** A full page of known tokens. What it holds depends on all tokens before, hence the parent. */
interface Entry {
  readonly hash: number
  readonly parent: Entry | null
  readonly tokens: Int32Array
  page: number
}

/** Hashes one page of tokens, `tokens[begin]` to `tokens[end − 1]`, on top of the hash of the page before. */
export type PageHash = (parent: number, tokens: Int32Array, begin: number, end: number) => number

/**
 * Finds full pages by the tokens they hold. Pages are looked up by a hash chained over the prefix; a hit counts only
 * when its tokens and its parent are the very ones asked for. The index holds each of its pages once in the allocator,
 * so what it lists is never written to. Pages that nobody else holds are idle: evictable, the longest idle first.
 */
export class PrefixIndex {
  readonly #allocator: PageAllocator
  readonly #pageSize: number
  readonly #hash: PageHash
  readonly #byHash = new Map<number, Entry[]>()
  readonly #byPage = new Map<number, Entry>()
  /** In insertion order: the page idle for longest comes first. */
  #idle = new Set<number>()

  constructor(allocator: PageAllocator, pageSize: number, hash: PageHash = chainedHash) {
    this.#allocator = allocator
    this.#pageSize = pageSize
    this.#hash = hash
  }

  /** Number of idle pages. */
  get idle(): number {
    return this.#idle.size
  }

  has(page: number): boolean {
    return this.#byPage.has(page)
  }

  /** Pages of the longest known prefix of `tokens`, `limit` pages at most. */
  match(tokens: Int32Array, limit: number): number[] {
    const pages: number[] = []
    let parent: Entry | null = null
    while (pages.length < limit) {
      const begin = pages.length * this.#pageSize
      const entry = this.#find(this.#hashAfter(parent, tokens, begin), parent, tokens, begin)
      if (!entry) break
      pages.push(entry.page)
      parent = entry
    }
    return pages
  }

  /**
   * Lists the pages that `tokens` fill, `pages[0]` first; the caller holds them. A prefix that is already known keeps
   * its page. Throws `POLYMLA_INVALID_ARGUMENT`, and lists nothing, when a page is known to hold other tokens.
   */
  add(tokens: Int32Array, pages: readonly number[]): void {
    const full = Math.floor(tokens.length / this.#pageSize)
    for (let i = 0; i < full; i++) this.#assertSame(pages[i], tokens, i * this.#pageSize)
    let parent: Entry | null = null
    for (let i = 0; i < full; i++) {
      const begin = i * this.#pageSize
      const hash = this.#hashAfter(parent, tokens, begin)
      parent = this.#find(hash, parent, tokens, begin) ?? this.#insert(pages[i], hash, parent, tokens, begin)
    }
  }

  /** To be told when somebody else takes a page. */
  taken(page: number): void {
    this.#idle.delete(page)
  }

  /** To be told when nobody else holds a page any longer. */
  left(page: number): void {
    if (this.has(page)) this.#idle.add(page)
  }

  /** Drops a listed page. Pages listed after it in a prefix are not found any more, and go when they are idle. */
  remove(page: number): void {
    const entry = this.#byPage.get(page) as Entry
    const others = (this.#byHash.get(entry.hash) as Entry[]).filter((other) => other !== entry)
    if (others.length > 0) this.#byHash.set(entry.hash, others)
    else this.#byHash.delete(entry.hash)
    this.#byPage.delete(page)
    this.#idle.delete(page)
    this.#allocator.release(page)
  }

  /** Drops the `count` pages that are idle for longest. */
  evict(count: number): void {
    let left = count
    for (const page of this.#idle) {
      if (left-- === 0) return
      this.remove(page)
    }
  }

  clear(): void {
    for (const page of [...this.#byPage.keys()]) this.remove(page)
  }

  /** Follows pages to their new ids. */
  move(target: ReadonlyMap<number, number>): void {
    const entries = [...this.#byPage.values()]
    this.#byPage.clear()
    for (const entry of entries) {
      entry.page = target.get(entry.page) ?? entry.page
      this.#byPage.set(entry.page, entry)
    }
    this.#idle = new Set([...this.#idle].map((page) => target.get(page) ?? page))
  }

  #hashAfter(parent: Entry | null, tokens: Int32Array, begin: number): number {
    return this.#hash(parent?.hash ?? 0, tokens, begin, begin + this.#pageSize)
  }

  #find(hash: number, parent: Entry | null, tokens: Int32Array, begin: number): Entry | undefined {
    return this.#byHash
      .get(hash)
      ?.find((entry) => entry.parent === parent && firstDifference(entry.tokens, tokens, begin) < 0)
  }

  #insert(page: number, hash: number, parent: Entry | null, tokens: Int32Array, begin: number): Entry {
    // The page is listed already when its prefix went under another page that has been evicted since.
    if (this.has(page)) this.remove(page)
    const entry = { hash, parent, tokens: tokens.slice(begin, begin + this.#pageSize), page }
    this.#byPage.set(page, entry)
    this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), entry])
    this.#allocator.retain(page)
    return entry
  }

  #assertSame(page: number, tokens: Int32Array, begin: number): void {
    const known = this.#byPage.get(page)
    const at = known ? firstDifference(known.tokens, tokens, begin) : -1
    if (known && at >= 0) {
      throw invalidArgument(
        `tokens[${begin + at}]`,
        `${known.tokens[at]}, the token that page ${page} was committed with`,
        tokens[begin + at],
        'Commit the tokens that the sequence holds, from its first one on',
      )
    }
  }
}

/** Where `page` and the tokens from `begin` on differ first; −1 when they do not. */
function firstDifference(page: Int32Array, tokens: Int32Array, begin: number): number {
  return page.findIndex((token, i) => token !== tokens[begin + i])
}

function chainedHash(parent: number, tokens: Int32Array, begin: number, end: number): number {
  let hash = parent
  for (let i = begin; i < end; i++) {
    hash = Math.imul(hash ^ tokens[i], 0x9e3779b1)
    hash ^= hash >>> 15
  }
  return hash
}
