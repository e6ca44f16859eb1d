import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import { contents, type FakeDevice, fakeCache, layerValue } from './paged-kv-cache.fixtures.js'
import type { PagedKvCache } from './paged-kv-cache.js'
import type { Sequence } from './sequence.js'
import type { SequenceBatch } from './sequence-batch.js'

const LAYERS = 2

/** Sequences beside the token ids that they are meant to hold. */
class Model {
  readonly device: FakeDevice
  readonly cache: PagedKvCache
  readonly live: { sequence: Sequence; tokens: number[] }[] = []
  batch: { taken: SequenceBatch; sequences: Sequence[]; state: string } | null = null

  constructor(pages: number, pageSize: number) {
    const { device, cache } = fakeCache({ pages, pageSize, layers: LAYERS })
    this.device = device
    this.cache = cache
  }

  create(prompt: number[]): void {
    const sequence = this.cache.createSequence({ tokens: prompt })
    expect(sequence.length % this.cache.layout.pageSize).toBe(0)
    expect(sequence.length).toBeLessThan(Math.max(prompt.length, 1))
    this.live.push({ sequence, tokens: prompt.slice(0, sequence.length) })
    this.append(this.live.length - 1, prompt.slice(sequence.length))
  }

  append(at: number, added: number[]): void {
    const { sequence, tokens } = this.live[at]
    const { cache } = this
    const { pageSize } = cache.layout
    const last = sequence.length % pageSize > 0 ? sequence.pages.at(-1) : undefined
    const copied = this.live.some(
      (other) => other.sequence !== sequence && other.sequence.pages.includes(last ?? -1),
    )
    const needed =
      Math.ceil((tokens.length + added.length) / pageSize) -
      sequence.pages.length +
      (copied && added.length > 0 ? 1 : 0)
    const fits = needed <= cache.freePages
    const before = JSON.stringify([sequence.version, sequence.pages, cache.freePages, cache.cachedPages])
    try {
      const slots = cache.append(sequence, added.length)
      expect(fits).toBe(true)
      tokens.push(...added)
      this.device.write(cache, slots, contents(tokens).slice(tokens.length - added.length))
    } catch (error) {
      if (!isPolymlaError(error, 'POLYMLA_OUT_OF_MEMORY')) throw error
      expect(fits).toBe(false)
      expect(JSON.stringify([sequence.version, sequence.pages, cache.freePages, cache.cachedPages])).toBe(
        before,
      )
    }
  }

  fork(at: number, length: number): void {
    const { sequence, tokens } = this.live[at]
    const kept = length % (tokens.length + 1)
    this.live.push({ sequence: this.cache.fork(sequence, { length: kept }), tokens: tokens.slice(0, kept) })
  }

  truncate(at: number, length: number): void {
    const { sequence, tokens } = this.live[at]
    tokens.length = length % (tokens.length + 1)
    this.cache.truncate(sequence, tokens.length)
  }

  free(at: number): void {
    const [{ sequence }] = this.live.splice(at, 1)
    this.cache.free(sequence)
  }

  commit(at: number, count: number): void {
    const { sequence, tokens } = this.live[at]
    this.cache.commit(sequence, tokens.slice(0, tokens.length - (count % (tokens.length + 1))))
  }

  defragment(): void {
    this.cache.defragment()
    const { pages, freePages, cachedPages } = this.cache
    for (const page of this.pagesInUse()) expect(page).toBeLessThan(pages - freePages + cachedPages)
  }

  takeBatch(): void {
    const sequences = this.live.map(({ sequence }) => sequence)
    this.batch = { taken: this.cache.batch(sequences), sequences, state: stateOf(sequences) }
  }

  check(): void {
    const { cache, device, batch } = this
    for (const { sequence, tokens } of this.live) {
      expect(sequence.length).toBe(tokens.length)
      expect(sequence.pages.length).toBe(Math.ceil(tokens.length / cache.layout.pageSize))
      for (let layer = 0; layer < LAYERS; layer++) {
        const expected = contents(tokens).map((value) => layerValue(value, layer))
        expect(device.read(cache, sequence, layer)).toEqual(expected)
      }
    }
    expect(this.pagesInUse().size + cache.freePages).toBe(cache.pages)
    if (batch && stateOf(batch.sequences) !== batch.state) expect(batch.taken.stale()).not.toBeNull()
  }

  /** Frees all; then the whole cache must fit one sequence, and nothing be left of any prefix. */
  finish(): void {
    const { cache } = this
    while (this.live.length > 0) this.free(0)
    expect(cache.freePages).toBe(cache.pages)
    cache.clearPrefixes()
    expect([cache.freePages, cache.cachedPages]).toEqual([cache.pages, 0])
    const whole = cache.createSequence()
    expect(new Set(cache.append(whole, cache.pages * cache.layout.pageSize)).size).toBe(
      cache.pages * cache.layout.pageSize,
    )
  }

  pagesInUse(): Set<number> {
    return new Set(this.live.flatMap(({ sequence }) => sequence.pages))
  }
}

function stateOf(sequences: readonly Sequence[]): string {
  return JSON.stringify(sequences.map(({ length, pages, disposed }) => [length, pages, disposed]))
}

const actions: Record<string, (model: Model, step: { at: number; tokens: number[]; count: number }) => void> =
  {
    append: (model, { at, tokens }) => model.append(at, tokens),
    fork: (model, { at, count }) => model.fork(at, count),
    truncate: (model, { at, count }) => model.truncate(at, count),
    commit: (model, { at, count }) => model.commit(at, count),
    commitAll: (model, { at }) => model.commit(at, 0),
    free: (model, { at }) => model.free(at),
    defragment: (model) => model.defragment(),
    batch: (model) => model.takeBatch(),
    clearPrefixes: (model) => model.cache.clearPrefixes(),
  }

const step = fc.record({
  // Creating is likelier than freeing, so that sequences get to meet.
  action: fc.constantFrom('create', 'create', ...Object.keys(actions)),
  target: fc.nat(20),
  // Few distinct tokens, so that prompts have prefixes in common.
  tokens: fc.array(fc.nat(1), { maxLength: 12 }),
  count: fc.nat(30),
})

describe('PagedKvCache against sequences in plain arrays', () => {
  it('holds for every sequence what was appended to it, and leaks no page', () => {
    const size = fc.record({ pages: fc.nat(12), pageSize: fc.integer({ min: 1, max: 4 }) })
    const steps = fc.array(step, { maxLength: 50, size: 'max' })
    fc.assert(
      fc.property(size, steps, ({ pages, pageSize }, taken) => {
        const model = new Model(pages, pageSize)
        for (const { action, target, tokens, count } of taken) {
          if (action === 'create' || model.live.length === 0) model.create(tokens)
          else actions[action](model, { at: target % model.live.length, tokens, count })
          model.check()
        }
        model.finish()
      }),
      { numRuns: 1000 },
    )
  })
})
