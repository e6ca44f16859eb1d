import { describe, expect, it } from 'vitest'
import type { Stream } from '../device/stream.js'
import type { ErrorCode } from '../errors.js'
import { Tensor } from '../tensor/tensor.js'
import { contents, fakeCache } from './paged-kv-cache.fixtures.js'
import type { PagedKvCache } from './paged-kv-cache.js'
import type { Sequence } from './sequence.js'

function coded(code: ErrorCode, path?: string) {
  return expect.objectContaining(path === undefined ? { code } : { code, path })
}

function filled(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}

describe('creation', () => {
  it('makes one storage per layer, all of the completed layout', () => {
    const { cache, device } = fakeCache({ format: 'fp8-656', layers: 3 })
    expect(cache.layers).toHaveLength(3)
    expect(cache.layers.every((layer) => device.memory.has(layer))).toBe(true)
    expect(cache.layout).toMatchObject({ format: 'fp8-656', pages: 8, pageSize: 4, headDim: 576 })
    expect([cache.pages, cache.freePages, cache.cachedPages]).toEqual([8, 8, 0])
  })

  it.each([
    ['pages', { pages: 2 ** 29 + 1 }],
    ['layers', { layers: 0 }],
    ['layers', { layers: 1.5 }],
    ['layers', { layers: 2 ** 31 }],
    ['pageSize', { pageSize: 0 }],
  ])('refuses %s in %o', (path, options) => {
    expect(() => fakeCache(options)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })

  it('gives back the layers it got when one more cannot be had', () => {
    const { device, cache } = fakeCache()
    device.storageLimit = 3
    const Cache = cache.constructor as new (...args: unknown[]) => typeof cache
    expect(() => new Cache(device, { format: 'bf16', pages: 1, layers: 5 })).toThrow('no more storage')
    expect(device.memory.size).toBe(1)
  })
})

describe('append', () => {
  it('returns the slots of the new tokens and takes pages as they fill', () => {
    const { cache } = fakeCache()
    const a = cache.createSequence()
    const b = cache.createSequence()
    expect([...cache.append(a, 3)]).toEqual([0, 1, 2])
    expect([...cache.append(b, 1)]).toEqual([4])
    expect([...cache.append(a, 3)]).toEqual([3, 8, 9])
    expect([a.length, a.pages, b.pages, cache.freePages]).toEqual([6, [0, 2], [1], 5])
  })

  it('takes all pages it needs or none', () => {
    const { cache } = fakeCache({ pages: 2 })
    const sequence = cache.createSequence()
    cache.append(sequence, 3)
    const { version } = sequence
    for (const count of [6, 2 ** 40]) {
      expect(() => cache.append(sequence, count)).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    }
    expect([sequence.length, sequence.pages, sequence.version, cache.freePages]).toEqual([3, [0], version, 1])
    expect(cache.append(sequence, 5)).toHaveLength(5)
  })

  it('of nothing changes nothing', () => {
    const { cache, device } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 2)
    cache.fork(sequence)
    expect(cache.append(sequence, 0)).toHaveLength(0)
    expect([sequence.version, device.copies.length]).toEqual([1, 0])
  })

  it.each([-1, 0.5, Number.NaN, '1'])('refuses a count of %s', (count) => {
    const { cache } = fakeCache()
    expect(() => cache.append(cache.createSequence(), count as number)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'count'),
    )
  })

  it('copies a shared partial page in every layer, once, on the stream given', () => {
    const { cache, device } = fakeCache({ layers: 2 })
    const stream = {} as Stream
    const parent = cache.createSequence()
    cache.append(parent, 6)
    const child = cache.fork(parent)
    expect([...cache.append(child, 1, { stream })]).toEqual([10])
    expect([parent.pages, child.pages]).toEqual([
      [0, 1],
      [0, 2],
    ])
    expect(device.copies).toEqual(
      cache.layers.map((layer) => ({ cache: layer, pages: Int32Array.of(1, 2), stream })),
    )
    cache.append(parent, 1)
    expect(device.copies).toHaveLength(2)
  })

  it('leaves everything as it was when the copy fails', () => {
    const { cache, device } = fakeCache()
    const parent = cache.createSequence()
    cache.append(parent, 2)
    const child = cache.fork(parent)
    device.copyError = new Error('copy failed')
    expect(() => cache.append(child, 9)).toThrow('copy failed')
    expect([child.length, child.pages, child.version, cache.freePages]).toEqual([2, [0], 0, 7])
    device.copyError = null
    expect([...cache.append(child, 9)].slice(0, 3)).toEqual([6, 7, 8])
  })

  it('needs a page for the copy', () => {
    const { cache } = fakeCache({ pages: 1 })
    const parent = cache.createSequence()
    cache.append(parent, 2)
    const child = cache.fork(parent)
    expect(() => cache.append(child, 1)).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    cache.free(parent)
    expect([...cache.append(child, 1)]).toEqual([2])
  })
})

describe('fork and truncate', () => {
  it('share and give back whole pages', () => {
    const { cache } = fakeCache()
    const parent = cache.createSequence()
    cache.append(parent, 10)
    const child = cache.fork(parent, { length: 5 })
    expect([child.length, child.pages, cache.freePages]).toEqual([5, [0, 1], 5])
    cache.truncate(parent, 4)
    expect([parent.length, parent.pages, cache.freePages]).toEqual([4, [0], 6])
    cache.free(parent)
    expect(cache.freePages).toBe(6)
    cache.free(child)
    expect(cache.freePages).toBe(8)
  })

  it('to the length there is changes nothing', () => {
    const { cache } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 5)
    cache.truncate(sequence, 5)
    expect(sequence.version).toBe(1)
  })

  it.each([-1, 6, 2.5])('refuse a length of %s of 5', (length) => {
    const { cache } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 5)
    const refusal = coded('POLYMLA_INVALID_ARGUMENT', 'length')
    expect(() => cache.fork(sequence, { length })).toThrow(refusal)
    expect(() => cache.truncate(sequence, length)).toThrow(refusal)
  })

  it('truncating and appending writes an unshared page in place', () => {
    const { cache, device } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 4)
    cache.truncate(sequence, 2)
    expect([...cache.append(sequence, 1)]).toEqual([2])
    expect(device.copies).toHaveLength(0)
  })
})

describe('handles', () => {
  it('a freed sequence is empty and refused', () => {
    const { cache } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 5)
    cache.free(sequence)
    expect([sequence.disposed, sequence.length, sequence.pages]).toEqual([true, 0, []])
    const calls: ((s: Sequence) => unknown)[] = [
      (s) => cache.append(s, 1),
      (s) => cache.fork(s),
      (s) => cache.truncate(s, 0),
      (s) => cache.free(s),
      (s) => cache.commit(s, []),
    ]
    for (const call of calls) expect(() => call(sequence)).toThrow(coded('POLYMLA_DISPOSED', 'sequence'))
    const live = cache.createSequence()
    expect(() => cache.batch([live, sequence])).toThrow(coded('POLYMLA_DISPOSED', 'sequences[1]'))
  })

  it.each<[string, (cache: PagedKvCache, sequence: Sequence) => unknown]>([
    ['options', (cache) => cache.createSequence([1, 2, 3] as never)],
    ['options.token', (cache) => cache.createSequence({ token: [1] } as never)],
    ['options.len', (cache, sequence) => cache.fork(sequence, { len: 1 } as never)],
    ['options.steam', (cache, sequence) => cache.append(sequence, 1, { steam: null } as never)],
    ['options.pad', (cache, sequence) => cache.batch([sequence], { pad: 4 } as never)],
    ['options.steam', (cache) => cache.defragment({ steam: null } as never)],
  ])('refuses %s', (path, call) => {
    const { cache } = fakeCache()
    const sequence = cache.createSequence()
    expect(() => call(cache, sequence)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect(sequence.length).toBe(0)
  })

  it('a sequence frees itself once at the end of its block', () => {
    const { cache } = fakeCache()
    {
      using sequence = cache.createSequence()
      cache.append(sequence, 5)
      sequence.dispose()
      cache.append(cache.createSequence(), 8)
    }
    expect(cache.freePages).toBe(6)
  })

  it.each([[null], [{}], [undefined]])('refuses %s as a sequence', (sequence) => {
    const { cache } = fakeCache()
    expect(() => cache.append(sequence as never, 1)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'sequence'))
  })

  it('refuses a sequence of another cache', () => {
    const { cache } = fakeCache()
    const foreign = fakeCache().cache.createSequence()
    expect(() => cache.free(foreign)).toThrow(
      expect.objectContaining({
        code: 'POLYMLA_INVALID_ARGUMENT',
        found: expect.stringContaining('another cache'),
      }),
    )
  })

  it('disposing the cache frees storage and sequences, once', () => {
    const { cache, device } = fakeCache({ layers: 2 })
    const sequence = cache.createSequence()
    cache.append(sequence, 5)
    {
      using _ = cache
    }
    cache.dispose()
    expect([device.memory.size, sequence.disposed, cache.disposed]).toEqual([0, true, true])
    sequence.dispose()
    const calls = [
      () => cache.createSequence(),
      () => cache.append(sequence, 1),
      () => cache.batch([]),
      () => cache.defragment(),
      () => cache.clearPrefixes(),
    ]
    for (const call of calls) expect(call).toThrow(coded('POLYMLA_DISPOSED'))
  })

  it('a cache ends with its device, and its sequences can still be disposed', () => {
    const { cache, device } = fakeCache()
    const sequence = cache.createSequence()
    device.disposed = true
    expect(() => cache.append(sequence, 1)).toThrow(coded('POLYMLA_DISPOSED'))
    sequence.dispose()
    expect(sequence.disposed).toBe(true)
  })
})

describe('prefix sharing', () => {
  function committed(tokens: readonly number[], options = {}) {
    const made = fakeCache(options)
    const sequence = made.cache.createSequence()
    made.cache.append(sequence, tokens.length)
    made.cache.commit(sequence, tokens)
    return { ...made, sequence }
  }

  it('starts a sequence on the committed full pages of its prompt', () => {
    const { cache, sequence } = committed(filled(10))
    const next = cache.createSequence({ tokens: Int32Array.from(filled(12)) })
    expect([next.length, next.pages, cache.freePages]).toEqual([8, sequence.pages.slice(0, 2), 5])
    expect(cache.createSequence({ tokens: [0, 1, 2, 3, 9, 9, 9, 9, 9] }).length).toBe(4)
    expect(cache.createSequence({ tokens: filled(9, 1) }).length).toBe(0)
  })

  it.each([
    [0, 0],
    [1, 0],
    [4, 0],
    [5, 4],
    [8, 4],
    [9, 8],
  ])('leaves at least one of %i tokens to compute: shares %i', (count, shared) => {
    const { cache } = committed(filled(8))
    expect(cache.createSequence({ tokens: filled(count) }).length).toBe(shared)
  })

  it('keeps committed pages of freed sequences until the space is needed, the longest unused going first', () => {
    const { cache, sequence: old } = committed(filled(8), { pages: 4 })
    const young = cache.createSequence()
    cache.append(young, 4)
    cache.commit(young, filled(4, 50))
    cache.free(old)
    cache.free(young)
    expect([cache.freePages, cache.cachedPages]).toEqual([4, 3])
    cache.append(cache.createSequence(), 8)
    expect([cache.freePages, cache.cachedPages]).toEqual([2, 2])
    expect(cache.createSequence({ tokens: filled(9) }).length).toBe(4)
    expect(cache.createSequence({ tokens: filled(5, 50) }).length).toBe(4)
    expect(cache.cachedPages).toBe(0)
  })

  it('evicts nothing for an append that fails', () => {
    const { cache, sequence } = committed(filled(8), { pages: 3 })
    cache.free(sequence)
    expect(() => cache.append(cache.createSequence(), 13)).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    expect(cache.cachedPages).toBe(2)
  })

  it('copies a committed page that is written again after a truncation', () => {
    const { cache, device, sequence } = committed(filled(4))
    device.write(cache, Int32Array.from(filled(4)), contents(filled(4)))
    cache.truncate(sequence, 2)
    device.write(cache, cache.append(sequence, 1), [99])
    const next = cache.createSequence({ tokens: filled(5) })
    expect(device.read(cache, next, 0)).toEqual(contents(filled(4)))
    expect(device.read(cache, sequence, 0)).toEqual([...contents(filled(2)), 99])
  })

  it('gives up a committed page rather than fail for want of a copy', () => {
    const { cache, device, sequence } = committed(filled(4), { pages: 1 })
    cache.truncate(sequence, 2)
    expect([...cache.append(sequence, 1)]).toEqual([2])
    expect(device.copies).toHaveLength(0)
    expect(cache.createSequence({ tokens: filled(5) }).length).toBe(0)
  })

  it('goes on from what is committed already', () => {
    const { cache, sequence } = committed(filled(4))
    cache.append(sequence, 4)
    cache.commit(sequence, filled(8))
    expect(cache.createSequence({ tokens: filled(9) }).pages).toEqual(sequence.pages)
  })

  it('forgets prefixes on request, not the sequences on them', () => {
    const { cache, sequence } = committed(filled(8))
    const freed = cache.createSequence()
    cache.append(freed, 4)
    cache.commit(freed, filled(4, 50))
    cache.free(freed)
    cache.clearPrefixes()
    expect([cache.freePages, cache.cachedPages, sequence.pages]).toEqual([6, 0, [0, 1]])
    expect(cache.createSequence({ tokens: filled(9) }).length).toBe(0)
  })

  it.each([
    ['more ids than tokens', filled(5), 'tokens'],
    ['other ids than before', [0, 1, 2, 4], 'tokens[3]'],
    ['ids of more than 32 bits', [0, 2 ** 31], 'tokens[1]'],
    ['no ids', null, 'tokens'],
    ['ids on a device', Object.create(Tensor.prototype), 'tokens'],
  ])('commit refuses %s', (_, tokens, path) => {
    const { cache, sequence } = committed(filled(4))
    expect(() => cache.commit(sequence, tokens as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })

  it('createSequence refuses tokens that are no integers', () => {
    const { cache } = fakeCache()
    expect(() => cache.createSequence({ tokens: [0.5] })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'tokens[0]'),
    )
  })
})

describe('batch', () => {
  it('gives lengths and a block table as wide as the longest sequence', () => {
    const { cache } = fakeCache()
    const sequences = [2, 9, 0].map((count) => {
      const sequence = cache.createSequence()
      cache.append(sequence, count)
      return sequence
    })
    const { seqlens, blockTable, width } = cache.batch(sequences, { padTo: 4 })
    expect([...seqlens]).toEqual([2, 9, 0, 0])
    expect(width).toBe(3)
    expect([...blockTable]).toEqual([0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0])
  })

  it('may be empty', () => {
    const { cache } = fakeCache()
    expect(cache.batch([])).toMatchObject({
      seqlens: new Int32Array(0),
      blockTable: new Int32Array(0),
      width: 0,
    })
  })

  it('says which sequence moved on, and how', () => {
    const { cache } = fakeCache()
    const [other, a, b] = [cache.createSequence(), cache.createSequence(), cache.createSequence()]
    for (const sequence of [other, a, b]) cache.append(sequence, 4)
    const stale = () => cache.batch([a, b]).stale
    const [appended, moved, freed] = [stale(), stale(), stale()]
    cache.append(other, 1)
    expect(appended()).toBeNull()
    cache.append(b, 1)
    expect(appended()).toBe('sequence 1 went from length 4 to 5')
    const defragmented = stale()
    cache.free(other)
    cache.defragment()
    expect(defragmented()).toBe('tokens or pages of sequence 1 changed')
    cache.free(a)
    expect(freed()).toBe('sequence 0 was freed')
    expect(moved()).toBe('sequence 0 was freed')
  })

  it.each([1, -1, 2.5, 2 ** 31])('refuses to pad two sequences to %s', (padTo) => {
    const { cache } = fakeCache()
    const pair = [cache.createSequence(), cache.createSequence()]
    expect(() => cache.batch(pair, { padTo })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'padTo'))
  })

  it('refuses what is no array of sequences', () => {
    const { cache } = fakeCache()
    expect(() => cache.batch(cache.createSequence() as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'sequences'),
    )
    expect(() => cache.batch([1 as never])).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'sequences[0]'))
  })
})

describe('defragment', () => {
  it('moves pages in use to the lowest ids, by one copy per layer, and keeps sharing and prefixes', () => {
    const { cache, device } = fakeCache({ layers: 2 })
    const stream = {} as Stream
    const [gap, kept, cached] = [cache.createSequence(), cache.createSequence(), cache.createSequence()]
    cache.append(gap, 8)
    device.write(cache, cache.append(kept, 6), contents(filled(6)))
    device.write(cache, cache.append(cached, 4), contents(filled(4, 50)))
    cache.commit(cached, filled(4, 50))
    const fork = cache.fork(kept)
    cache.free(gap)
    cache.free(cached)
    const versions = [kept.version, fork.version]
    expect(cache.defragment({ stream })).toBe(2)
    expect(device.copies.map((copy) => copy.stream)).toEqual([stream, stream])
    expect([...kept.pages].every((page) => page < 3)).toBe(true)
    expect(fork.pages).toEqual(kept.pages)
    expect([kept.version, fork.version]).toEqual(versions.map((version) => version + 1))
    expect(device.read(cache, kept, 0)).toEqual(contents(filled(6)))
    const again = cache.createSequence({ tokens: filled(5, 50) })
    expect(device.read(cache, again, 0)).toEqual(contents(filled(4, 50)))
    expect([cache.freePages, cache.cachedPages]).toEqual([5, 0])
  })

  it('does nothing when there are no gaps', () => {
    const { cache, device } = fakeCache()
    const sequence = cache.createSequence()
    cache.append(sequence, 8)
    expect(cache.defragment()).toBe(0)
    expect([device.copies.length, sequence.version]).toEqual([0, 1])
  })

  it('leaves everything as it was when the copy fails', () => {
    const { cache, device } = fakeCache()
    const [gap, kept] = [cache.createSequence(), cache.createSequence()]
    cache.append(gap, 4)
    cache.append(kept, 4)
    cache.free(gap)
    device.copyError = new Error('copy failed')
    expect(() => cache.defragment()).toThrow('copy failed')
    expect([kept.pages, kept.version, cache.freePages]).toEqual([[1], 1, 7])
  })
})
