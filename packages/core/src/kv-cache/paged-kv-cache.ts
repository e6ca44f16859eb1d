import type { Device } from '../device/device.js'
import type { Stream } from '../device/stream.js'
import { disposedError, invalidArgument, inWords, PolymlaError } from '../errors.js'
import { hostIntegers } from '../ops/integers.js'
import { INT32_MAX, integer, options as known, object } from '../problem/checks.js'
import { type KvLayout, type KvLayoutOptions, kvLayout } from './formats.js'
import { outOfPages, PageAllocator } from './page-allocator.js'
import { PrefixIndex } from './prefix-index.js'
import { Sequence, type SequenceState } from './sequence.js'
import { type SequenceBatch, sequenceBatch } from './sequence-batch.js'
import type { KvStorage } from './storage.js'

export type KvCacheOptions = KvLayoutOptions & {
  /** Storages that share the page tables, one per layer of the model. Default 1. */
  readonly layers?: number
}

/** Token ids of a prompt, 32-bit. */
export type TokenIds = Int32Array | readonly number[]

const MAX_LAYERS = 2 ** 16
const MAX_BATCH = 2 ** 20

/**
 * A KV cache of fixed pages that sequences share: forks share their common pages, prompts the full pages of a prefix
 * that was committed before. Shared and committed pages are never written: an append into a partly filled one copies
 * it first.
 *
 * Page tables live on the host and change at once; the only work on the device is copying pages, enqueued on the
 * stream given. A page that a call gives up is handed out again by the next, so keep all work on a cache on one
 * stream, or make the stream that goes on wait for an event of the one before.
 *
 * Calls throw `POLYMLA_DISPOSED` for a freed sequence or a disposed cache, `POLYMLA_INVALID_ARGUMENT` for a sequence of
 * another cache. A call that throws leaves every sequence as it was.
 */
export class PagedKvCache {
  readonly layout: KvLayout
  /** One per layer, all of the same layout: what `appendKv` and plans take. */
  readonly layers: readonly KvStorage[]
  readonly #device: Device
  readonly #allocator: PageAllocator
  readonly #prefixes: PrefixIndex
  readonly #sequences = new Map<Sequence, SequenceState>()
  #disposed = false

  /**
   * @internal Caches come from `device.createKvCache`. Throws `POLYMLA_INVALID_ARGUMENT`, also when a token's slot
   * number, page · pageSize + offset, would not fit in 32 bits, and `POLYMLA_OUT_OF_MEMORY`.
   */
  constructor(device: Device, options: KvCacheOptions) {
    const { layers = 1, ...given } = object('options', options)
    const layout = kvLayout(given)
    const { pages, pageSize } = layout
    if (pages * pageSize > INT32_MAX) {
      throw invalidArgument(
        'pages',
        `at most ${Math.floor(INT32_MAX / pageSize)} pages of ${pageSize} tokens`,
        pages,
      )
    }
    this.layout = layout
    this.layers = createLayers(device, layout, integer('layers', layers, 1, MAX_LAYERS))
    this.#device = device
    this.#allocator = new PageAllocator(pages)
    this.#prefixes = new PrefixIndex(this.#allocator, pageSize)
  }

  /** Pages in each layer. */
  get pages(): number {
    return this.layout.pages
  }

  /** Pages that no sequence holds, cached prefixes included: what appends can take. */
  get freePages(): number {
    return this.#allocator.free + this.#prefixes.idle
  }

  /** How many of the free pages still hold a committed prefix. */
  get cachedPages(): number {
    return this.#prefixes.idle
  }

  get disposed(): boolean {
    return this.#disposed || this.#device.disposed
  }

  /**
   * A new sequence. Given the token ids of its prompt it starts with the longest committed prefix, in full pages:
   * `length` tells how many tokens need no computing. At least the last token is left, since a model needs one to go on.
   */
  createSequence(options: { tokens?: TokenIds } = {}): Sequence {
    this.#assertLive()
    const tokens = tokenIds(known('options', options, ['tokens']).tokens ?? [])
    const pages = this.#prefixes.match(tokens, Math.ceil(tokens.length / this.layout.pageSize) - 1)
    return this.#open(pages, pages.length * this.layout.pageSize)
  }

  /** A second sequence with the first `length` tokens of this one (default: all), on the same pages. */
  fork(sequence: Sequence, options: { length?: number } = {}): Sequence {
    const { length, pages } = this.#state(sequence)
    const kept = integer('length', known('options', options, ['length']).length ?? length, 0, length)
    return this.#open(pages.slice(0, this.#pagesFor(kept)), kept)
  }

  /**
   * Makes room for `count` more tokens and returns their slots, page · pageSize + offset, as `appendKv` takes them; what
   * they hold is undefined until written. Throws `POLYMLA_OUT_OF_MEMORY` when the free pages do not suffice; a committed
   * prefix never makes it fail.
   */
  append(sequence: Sequence, count: number, options: { stream?: Stream } = {}): Int32Array {
    const state = this.#state(sequence)
    integer('count', count, 0)
    known('options', options, ['stream'])
    const { pageSize } = this.layout
    const { length, pages } = state
    const added = this.#pagesFor(length + count) - pages.length
    const last = pages[pages.length - 1]
    let shared = count > 0 && length % pageSize > 0 && this.#allocator.references(last) > 1
    if (shared && added === this.freePages && this.#onlyCommitted(last)) {
      // A copy would be one page too many, and nobody but the prefix index would miss the original.
      this.#prefixes.remove(last)
      shared = false
    }
    const fresh = this.#take(shared ? added + 1 : added)
    if (shared) {
      try {
        this.#copyPages(Int32Array.of(last, fresh[0]), options)
      } catch (error) {
        for (const page of fresh.reverse()) this.#allocator.release(page)
        throw error
      }
      pages.pop()
      this.#drop(last)
    }
    for (const page of fresh) pages.push(page)
    if (count > 0) state.version++
    state.length += count

    const slots = new Int32Array(count)
    for (let i = 0; i < count; i++) {
      const position = length + i
      slots[i] = pages[Math.floor(position / pageSize)] * pageSize + (position % pageSize)
    }
    return slots
  }

  /** Forgets all tokens from `length` on, such as rejected speculation. */
  truncate(sequence: Sequence, length: number): void {
    const state = this.#state(sequence)
    integer('length', length, 0, state.length)
    if (length < state.length) this.#shrink(state, length)
  }

  /** Gives the sequence's pages back; committed ones stay cached until the space is needed, least recently used first. */
  free(sequence: Sequence): void {
    this.#release(sequence, this.#state(sequence))
  }

  /**
   * Lets later prompts share the full pages among the sequence's first `tokens.length` tokens, whose ids these are.
   * Call it once the writes to those pages are enqueued. Contents must follow from the ids: a cache serves one model.
   * Throws `POLYMLA_INVALID_ARGUMENT` for more ids than the sequence has tokens, or other ids than a page was committed
   * with.
   */
  commit(sequence: Sequence, tokens: TokenIds): void {
    const { length, pages } = this.#state(sequence)
    const ids = tokenIds(tokens)
    if (ids.length > length) {
      throw invalidArgument('tokens', `at most ${length} ids, the length of the sequence`, ids.length)
    }
    this.#prefixes.add(ids, pages)
  }

  /** Forgets all committed prefixes, as after a change of the model's weights. Sequences keep their pages. */
  clearPrefixes(): void {
    this.#assertLive()
    this.#prefixes.clear()
  }

  /** Lengths and block table of the sequences, for `plan.update`; `padTo` adds rows of length 0 up to a graph's batch. */
  batch(sequences: readonly Sequence[], options: { padTo?: number } = {}): SequenceBatch {
    this.#assertLive()
    if (!Array.isArray(sequences)) throw invalidArgument('sequences', 'an array of sequences', sequences)
    for (const [i, sequence] of sequences.entries()) this.#state(sequence, `sequences[${i}]`)
    const { padTo = sequences.length } = known('options', options, ['padTo'])
    const rows = integer('padTo', padTo, sequences.length, MAX_BATCH)
    return sequenceBatch(sequences, rows)
  }

  /**
   * Moves pages in use, cached prefixes included, to the lowest ids; what is shared stays shared. Returns how many moved.
   */
  defragment(options: { stream?: Stream } = {}): number {
    this.#assertLive()
    known('options', options, ['stream'])
    const moves = this.#allocator.compaction()
    if (moves.length === 0) return 0
    this.#copyPages(moves, options)
    this.#allocator.move(moves)
    const target = new Map<number, number>()
    for (let i = 0; i < moves.length; i += 2) target.set(moves[i], moves[i + 1])
    this.#prefixes.move(target)
    for (const state of this.#sequences.values()) {
      if (!state.pages.some((page) => target.has(page))) continue
      for (const [i, page] of state.pages.entries()) state.pages[i] = target.get(page) ?? page
      state.version++
    }
    return target.size
  }

  /** Frees all sequences and the storage of all layers. Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    for (const [sequence, state] of this.#sequences) this.#release(sequence, state)
    this.#disposed = true
    for (const layer of this.layers) layer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #open(pages: number[], length: number): Sequence {
    for (const page of pages) {
      this.#allocator.retain(page)
      this.#prefixes.taken(page)
    }
    const state = { length, pages, version: 0, freed: false }
    const sequence = new Sequence(state, () => this.#release(sequence, state))
    this.#sequences.set(sequence, state)
    return sequence
  }

  #release(sequence: Sequence, state: SequenceState): void {
    this.#shrink(state, 0)
    state.freed = true
    this.#sequences.delete(sequence)
  }

  /** Last page first, so that of a prefix the end is evicted before the beginning. */
  #shrink(state: SequenceState, length: number): void {
    const kept = this.#pagesFor(length)
    while (state.pages.length > kept) this.#drop(state.pages.pop() as number)
    state.length = length
    state.version++
  }

  #drop(page: number): void {
    if (this.#allocator.release(page) === 1) this.#prefixes.left(page)
  }

  /** Whether a page that a sequence holds is shared with the prefix index alone. */
  #onlyCommitted(page: number): boolean {
    return this.#allocator.references(page) === 2 && this.#prefixes.has(page)
  }

  #take(count: number): Int32Array {
    if (count > this.freePages) throw outOfPages(count, this.freePages, this.pages)
    this.#prefixes.evict(Math.max(count - this.#allocator.free, 0))
    return this.#allocator.allocate(count)
  }

  #copyPages(moves: Int32Array, options: { stream?: Stream }): void {
    for (const cache of this.layers) this.#device.copyPages({ ...options, cache, pages: moves })
  }

  #pagesFor(length: number): number {
    return Math.ceil(length / this.layout.pageSize)
  }

  #state(sequence: Sequence, path = 'sequence'): SequenceState {
    this.#assertLive()
    const state = this.#sequences.get(sequence)
    if (state) return state
    if (!(sequence instanceof Sequence)) throw invalidArgument(path, 'a sequence of this cache', sequence)
    if (!sequence.disposed)
      throw invalidArgument(path, 'a sequence of this cache', inWords('one of another cache'))
    throw new PolymlaError('POLYMLA_DISPOSED', `${path} was used after it was freed`, {
      path,
      fix: 'Free it after the last call that uses it',
    })
  }

  #assertLive(): void {
    if (this.disposed) {
      throw disposedError('the KV cache', this.#device.id, 'it, or its device, was disposed')
    }
  }
}

function createLayers(device: Device, layout: KvLayout, count: number): readonly KvStorage[] {
  const layers: KvStorage[] = []
  try {
    while (layers.length < count) layers.push(device.createKvStorage(layout))
  } catch (error) {
    for (const layer of layers) layer.dispose()
    throw error
  }
  return Object.freeze(layers)
}

function tokenIds(given: TokenIds): Int32Array {
  const ids = hostIntegers('tokens', given)
  if (!ids) throw invalidArgument('tokens', 'token ids on the host', given)
  return ids
}
