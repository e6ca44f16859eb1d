import { toFloat32 } from '@polymla/core'
import { describe, expect, test } from 'vitest'
import { normalArray, normalTable, Random } from './random.js'

describe('Random', () => {
  test('equal seeds and labels give equal numbers, others do not', () => {
    const draw = (seed: number, label: string) => {
      const random = new Random(seed, label)
      return [random.bits(), random.normal(), ...random.permutation(20), ...normalArray(random, 'bf16', 9, 1)]
    }
    expect(draw(7, 'a')).toEqual(draw(7, 'a'))
    expect(draw(7, 'a')).not.toEqual(draw(8, 'a'))
    expect(draw(7, 'a')).not.toEqual(draw(7, 'b'))
    expect(draw(7 + 2 ** 32, 'a')).not.toEqual(draw(7, 'a'))
  })

  test('integers cover their range evenly', () => {
    const random = new Random(1)
    const counts = new Array(5).fill(0)
    for (let i = 0; i < 50_000; i++) counts[random.integer(-2, 2) + 2]++
    for (const count of counts) expect(count / 10_000).toBeCloseTo(1, 1)
  })

  test('a permutation holds every integer once', () => {
    const order = new Random(3).permutation(1000)
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(1000).keys()])
    expect(order).not.toEqual(Int32Array.from(Array(1000).keys()))
  })

  test.each(['f32', 'bf16', 'f16', 'e4m3'] as const)(
    '%s fills are normal, clamped and of full range',
    (dtype) => {
      const values = toFloat32(normalArray(new Random(5), dtype, 100_001, 0.5, 1), dtype)
      const mean = values.reduce((a, b) => a + b, 0) / values.length
      const deviation = Math.sqrt(values.reduce((a, b) => a + b * b, 0) / values.length)
      expect(mean).toBeCloseTo(0, 2)
      expect(deviation).toBeGreaterThan(0.46)
      expect(deviation).toBeLessThan(0.5)
      expect(values.reduce((a, b) => Math.max(a, b), 0)).toBe(1)
      expect(values.reduce((a, b) => Math.min(a, b), 0)).toBe(-1)
    },
  )

  test('fill touches its range alone', () => {
    const array = new Uint16Array(20).fill(0xffff)
    new Random(2).fill(array, normalTable('bf16', 1), 5, 12)
    expect([...array].map((bits) => bits !== 0xffff)).toEqual(
      Array.from({ length: 20 }, (_, i) => i >= 5 && i < 12),
    )
  })
})
