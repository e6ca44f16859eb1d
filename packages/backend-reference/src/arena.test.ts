import { isPolymlaError } from '@polymla/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Arena, type Block } from './arena.js'

const MIB = 2 ** 20

it('gives blocks that are aligned and never overlap, and reuses what is freed', () => {
  const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: MIB }), free: fc.nat(4) }), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(steps, (todo) => {
      const arena = new Arena(2 ** 30)
      const live: Block[] = []
      for (const { bytes, free } of todo) {
        live.push(arena.allocate(bytes))
        if (free > 1) arena.free(live.splice(free % live.length, 1)[0])
      }
      const inOrder = live.toSorted((a, b) => a.byteOffset - b.byteOffset)
      for (const [i, { byteOffset, bytes, memory }] of inOrder.entries()) {
        expect(byteOffset % 256).toBe(0)
        expect(byteOffset + bytes).toBeLessThanOrEqual(inOrder[i + 1]?.byteOffset ?? memory.byteLength)
      }
      for (const block of live) arena.free(block)
      expect(arena.freeBytes).toBe(arena.limitBytes)
      // All of it in one piece again.
      expect(arena.allocate(60 * MIB).byteOffset).toBe(0)
    }),
    { numRuns: 50 },
  )
})

it('reuses memory for large blocks, and keeps small ones out of it', () => {
  const arena = new Arena(2 ** 34)
  const first = arena.allocate(70 * MIB)
  arena.free(first)
  const small = arena.allocate(1)
  const second = arena.allocate(100 * MIB)
  expect(second.memory).toBe(first.memory)
  expect(small.memory).not.toBe(first.memory)
})

it('refuses what exceeds its limit or the system with POLYMLA_OUT_OF_MEMORY', () => {
  const arena = new Arena(MIB)
  arena.allocate(MIB / 2)
  const code = (allocate: () => unknown) => {
    try {
      return allocate()
    } catch (error) {
      return isPolymlaError(error) && error.code
    }
  }
  expect(code(() => arena.allocate(MIB / 2 + 1))).toBe('POLYMLA_OUT_OF_MEMORY')
  expect(arena.allocate(MIB / 2).bytes).toBe(MIB / 2)
  expect(code(() => new Arena(Number.POSITIVE_INFINITY).allocate(2 ** 52))).toBe('POLYMLA_OUT_OF_MEMORY')
})
