import { describe, expect, it } from 'vitest'
import { PageAllocator } from './page-allocator.js'
import { PrefixIndex } from './prefix-index.js'

/** An index over pages of two tokens, with the pages of one prefix per list of tokens, still held. */
function indexOf(prefixes: number[][], hash?: () => number) {
  const allocator = new PageAllocator(16)
  const index = new PrefixIndex(allocator, 2, hash)
  const pages = prefixes.map((tokens) => {
    const taken = [...allocator.allocate(Math.ceil(tokens.length / 2))]
    index.add(Int32Array.from(tokens), taken)
    return taken
  })
  const drop = (list: number[]) => {
    for (const page of list.toReversed()) if (allocator.release(page) === 1) index.left(page)
  }
  const match = (tokens: number[]) => index.match(Int32Array.from(tokens), Math.floor(tokens.length / 2))
  return { allocator, index, pages, drop, match }
}

describe('PrefixIndex', () => {
  it('finds the longest prefix in full pages', () => {
    const { match, index, pages } = indexOf([[1, 2, 3, 4, 5]])
    expect(match([1, 2, 3, 4, 5, 6])).toEqual(pages[0].slice(0, 2))
    expect(match([1, 2, 3, 9])).toEqual(pages[0].slice(0, 1))
    expect(match([3, 4])).toEqual([])
    expect(index.match(Int32Array.of(1, 2, 3, 4), 1)).toEqual(pages[0].slice(0, 1))
  })

  it('tells prefixes apart by tokens and parents, whatever their hashes', () => {
    const { match, index, pages } = indexOf(
      [
        [1, 2, 7, 7],
        [3, 4, 7, 7],
        [5, 6],
      ],
      () => 42,
    )
    expect(match([1, 2, 7, 7])).toEqual(pages[0])
    expect(match([3, 4, 7, 7])).toEqual(pages[1])
    expect(match([5, 6, 7, 7])).toEqual(pages[2])
    expect(match([7, 7])).toEqual([])
    index.remove(pages[0][1])
    expect(match([1, 2, 7, 7])).toEqual(pages[0].slice(0, 1))
    expect(match([3, 4, 7, 7])).toEqual(pages[1])
  })

  it('keeps the page of a prefix that is known, and lists what goes on from it', () => {
    const { match, pages } = indexOf([
      [1, 2],
      [1, 2, 3, 4],
    ])
    expect(match([1, 2, 3, 4])).toEqual([pages[0][0], pages[1][1]])
  })

  it('holds listed pages, and evicts those that nobody else holds, the longest idle first', () => {
    const { allocator, index, pages, drop, match } = indexOf([
      [1, 2, 3, 4],
      [5, 6],
      [7, 8],
    ])
    drop(pages[1])
    drop(pages[0])
    expect(index.idle).toBe(3)
    expect(allocator.references(pages[0][0])).toBe(1)
    index.evict(2)
    expect(match([5, 6])).toEqual([])
    expect(match([1, 2, 3, 4])).toEqual(pages[0].slice(0, 1))
    expect(match([7, 8])).toEqual(pages[2])
    expect(allocator.references(pages[0][1])).toBe(0)
    expect(index.idle).toBe(1)
  })

  it('does not evict an idle page that was taken again', () => {
    const { allocator, index, pages, drop } = indexOf([[1, 2]])
    drop(pages[0])
    allocator.retain(pages[0][0])
    index.taken(pages[0][0])
    index.evict(1)
    expect(index.has(pages[0][0])).toBe(true)
  })

  it('lists a page anew when the prefix that it was under is gone', () => {
    const { allocator, index, pages, match } = indexOf([
      [1, 2],
      [1, 2, 3, 4],
    ])
    index.remove(pages[0][0])
    expect(match([1, 2, 3, 4])).toEqual([])
    index.add(Int32Array.of(1, 2, 3, 4), pages[1])
    expect(match([1, 2, 3, 4])).toEqual(pages[1])
    expect(pages[1].map((page) => allocator.references(page))).toEqual([2, 2])
  })

  it('refuses other tokens for a listed page before it lists anything', () => {
    const { allocator, index, pages, match } = indexOf([[1, 2]])
    const [fresh] = allocator.allocate(1)
    expect(() => index.add(Int32Array.of(8, 8, 1, 9), [fresh, pages[0][0]])).toThrow(
      expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path: 'tokens[3]' }),
    )
    expect(match([8, 8])).toEqual([])
  })

  it('follows pages that moved', () => {
    const { allocator, index, pages, drop, match } = indexOf([
      [1, 2],
      [3, 4],
    ])
    drop(pages[1])
    allocator.move(Int32Array.of(pages[0][0], 9, pages[1][0], 8))
    index.move(
      new Map([
        [pages[0][0], 9],
        [pages[1][0], 8],
      ]),
    )
    expect([match([1, 2]), match([3, 4])]).toEqual([[9], [8]])
    index.evict(1)
    expect([index.has(9), index.has(8)]).toEqual([true, false])
  })

  it('lets go of everything when cleared', () => {
    const { allocator, index, pages, drop, match } = indexOf([
      [1, 2, 3, 4],
      [5, 6],
    ])
    drop(pages[1])
    index.clear()
    expect(index.idle).toBe(0)
    expect(match([1, 2])).toEqual([])
    expect(pages[0].map((page) => allocator.references(page))).toEqual([1, 1])
    expect(allocator.free).toBe(14)
  })
})
