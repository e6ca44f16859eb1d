import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import { PageAllocator } from './page-allocator.js'

describe('PageAllocator', () => {
  it('hands out unused pages from the lowest up, and the page freed last first', () => {
    const allocator = new PageAllocator(4)
    expect([...allocator.allocate(3)]).toEqual([0, 1, 2])
    allocator.release(0)
    allocator.release(2)
    expect([...allocator.allocate(3)]).toEqual([2, 0, 3])
  })

  it('frees a page when its last holder lets go', () => {
    const allocator = new PageAllocator(1)
    allocator.allocate(1)
    allocator.retain(0)
    expect(allocator.references(0)).toBe(2)
    expect(allocator.release(0)).toBe(1)
    expect(allocator.free).toBe(0)
    expect(allocator.release(0)).toBe(0)
    expect(allocator.free).toBe(1)
  })

  it('gives all pages asked for or none', () => {
    const allocator = new PageAllocator(3)
    allocator.allocate(1)
    expect(() => allocator.allocate(3)).toThrow(
      expect.objectContaining({
        code: 'POLYMLA_OUT_OF_MEMORY',
        message: expect.stringContaining('3 pages asked, 2 of 3 free'),
      }),
    )
    expect([...allocator.allocate(2)]).toEqual([1, 2])
  })

  it.each([0, 3, -1, 0.5])('refuses to retain or release page %s, which nobody holds', (page) => {
    const allocator = new PageAllocator(3)
    for (const use of [() => allocator.retain(page), () => allocator.release(page)]) {
      expect(use).toThrow(expect.objectContaining({ code: 'POLYMLA_INTERNAL' }))
    }
    expect(allocator.free).toBe(3)
  })

  it('compacts any state by disjoint moves, keeping counts', () => {
    const counts = fc.array(fc.nat(3), { maxLength: 40 })
    fc.assert(
      fc.property(counts, (wanted) => {
        const allocator = new PageAllocator(wanted.length)
        allocator.allocate(wanted.length)
        wanted.forEach((count, page) => {
          if (count === 0) allocator.release(page)
          for (let i = 1; i < count; i++) allocator.retain(page)
        })
        const held = wanted.filter((count) => count > 0).length
        const moves = allocator.compaction()
        const after = [...wanted]
        for (let i = 0; i < moves.length; i += 2) {
          expect(moves[i]).toBeGreaterThanOrEqual(held)
          expect(moves[i + 1]).toBeLessThan(held)
          after[moves[i + 1]] = after[moves[i]]
          after[moves[i]] = 0
        }
        allocator.move(moves)
        expect(wanted.map((_, page) => allocator.references(page))).toEqual(after)
        expect(after.slice(0, held).every((count) => count > 0)).toBe(true)
        const rest = wanted.length - held
        expect([...allocator.allocate(rest)]).toEqual(Array.from({ length: rest }, (_, i) => held + i))
      }),
    )
  })

  it('agrees with counting in a plain array', () => {
    const call = fc.record({ kind: fc.constantFrom('allocate', 'retain', 'release'), n: fc.nat(9) })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        const allocator = new PageAllocator(8)
        const counts = new Array<number>(8).fill(0)
        for (const { kind, n } of calls) {
          const free = counts.filter((count) => count === 0).length
          const legal = kind === 'allocate' ? n <= free : counts[n] > 0
          try {
            if (kind === 'allocate') for (const page of allocator.allocate(n)) counts[page]++
            else if (kind === 'retain') allocator.retain(n)
            else allocator.release(n)
            expect(legal).toBe(true)
            if (kind !== 'allocate') counts[n] += kind === 'retain' ? 1 : -1
          } catch (error) {
            if (!isPolymlaError(error)) throw error
            expect(legal).toBe(false)
          }
          expect(counts.map((_, page) => allocator.references(page))).toEqual(counts)
          expect(allocator.free).toBe(counts.filter((count) => count === 0).length)
        }
      }),
    )
  })
})
