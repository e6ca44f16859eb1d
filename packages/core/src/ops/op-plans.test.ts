import fc from 'fast-check'
import { expect, it } from 'vitest'
import { roundedCapacity } from './op-plans.js'

it('roundedCapacity is the least power of two that holds a count', () => {
  const exponents = fc.integer({ min: 1, max: 40 })
  expect([0, 1].map(roundedCapacity)).toEqual([1, 1])
  fc.assert(
    fc.property(exponents, fc.integer({ min: -1, max: 1 }), (exponent, off) => {
      const count = 2 ** exponent + off
      const capacity = roundedCapacity(count)
      expect(capacity).toBe(off === 1 ? 2 ** (exponent + 1) : count <= 1 ? 1 : 2 ** exponent)
    }),
  )
})
