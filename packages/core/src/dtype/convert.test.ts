import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import { decodeInto, encodeInto, fromBits, fromFloat32, toBits, toFloat32 } from './convert.js'
import type { FloatDType } from './dtype.js'
import { hostArray } from './dtype.js'

/** Field widths and top codes, stated here independently of the implementation. */
const FORMATS = [
  { dtype: 'f16', bits: 16, fraction: 10, bias: 15, top: 0x7bff, overflow: 0x7c00 },
  { dtype: 'bf16', bits: 16, fraction: 7, bias: 127, top: 0x7f7f, overflow: 0x7f80 },
  { dtype: 'e4m3', bits: 8, fraction: 3, bias: 7, top: 0x7e, overflow: 0x7e },
] as const

const nextUp = (value: number): number => {
  const words = new BigInt64Array(new Float64Array([value]).buffer)
  words[0] += 1n
  return new Float64Array(words.buffer)[0]
}
const nextDown = (value: number): number => {
  const words = new BigInt64Array(new Float64Array([value]).buffer)
  words[0] -= 1n
  return new Float64Array(words.buffer)[0]
}

describe.each(FORMATS)('$dtype', ({ dtype, bits, fraction, bias, top, overflow }) => {
  const sign = 2 ** (bits - 1)
  const codes = Array.from({ length: 2 ** bits }, (_, code) => code)

  it('decodes every code to the value of its fields', () => {
    for (const code of codes) {
      const magnitude = code % sign
      const exponent = Math.floor(magnitude / 2 ** fraction)
      const mantissa = (magnitude % 2 ** fraction) / 2 ** fraction
      const finite = exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias)
      const beyond = dtype !== 'e4m3' && mantissa === 0 ? Number.POSITIVE_INFINITY : Number.NaN
      const value = magnitude > top ? beyond : finite
      if (!Object.is(fromBits(code, dtype), code < sign ? value : -value)) expect(code).toBe(value)
    }
  })

  it('encodes every value to its own code, NaN to the quiet NaN', () => {
    for (const code of codes) {
      const value = fromBits(code, dtype)
      const expected = Number.isNaN(value) ? { f16: 0x7e00, bf16: 0x7fc0, e4m3: 0x7f }[dtype] : code
      if (toBits(value, dtype) !== expected) expect({ code, found: toBits(value, dtype) }).toBe(expected)
    }
  })

  it('rounds to nearest, ties to even, between every two neighbours', () => {
    for (let code = 0; code < top; code++) {
      const middle = (fromBits(code, dtype) + fromBits(code + 1, dtype)) / 2
      const found = [nextDown(middle), middle, nextUp(middle), -nextDown(middle), -middle, -nextUp(middle)]
      const even = code + (code % 2)
      const expected = [code, even, code + 1, sign + code, sign + even, sign + code + 1]
      found.forEach((value, i) => {
        if (toBits(value, dtype) !== expected[i]) expect({ code, value }).toBe(expected[i])
      })
    }
  })

  it('rounds arbitrary doubles to a code no neighbour of which is nearer', () => {
    const wide = fc.double({ noNaN: true, noDefaultInfinity: true })
    const near = fc.tuple(fc.nat(top - 1), fc.double({ min: 0, max: 1, noNaN: true })).map(([code, t]) => {
      const low = fromBits(code, dtype)
      return low + t * (fromBits(code + 1, dtype) - low)
    })
    fc.assert(
      fc.property(fc.oneof(wide, near), fc.boolean(), (magnitude, negative) => {
        const value = negative ? -Math.abs(magnitude) : Math.abs(magnitude)
        const code = toBits(value, dtype)
        expect(Math.floor(code / sign)).toBe(Object.is(Math.sign(value), -0) || value < 0 ? 1 : 0)
        const found = code % sign
        const edge = (low: number) => (fromBits(low, dtype) + fromBits(low + 1, dtype)) / 2
        if (found > 0 && found <= top) expect(Math.abs(value)).toBeGreaterThanOrEqual(edge(found - 1))
        if (found < top) expect(Math.abs(value)).toBeLessThanOrEqual(edge(found))
      }),
      { numRuns: 2000 },
    )
  })

  it('overflows as documented', () => {
    const largest = fromBits(top, dtype)
    const step = largest - fromBits(top - 1, dtype)
    expect(toBits(nextDown(largest + step / 2), dtype)).toBe(top)
    for (const value of [largest + step / 2, 2 * largest, 1e300, Number.POSITIVE_INFINITY]) {
      expect([toBits(value, dtype), toBits(-value, dtype)]).toEqual([overflow, sign + overflow])
    }
  })

  it('rounds once: no detour through float32', () => {
    // A tie nudged by less than float32 can hold: rounding to float32 first would make it a tie again.
    const tie = 1 + 2 ** -(fraction + 1)
    expect(fromBits(toBits(tie, dtype), dtype)).toBe(1)
    expect(fromBits(toBits(tie + 2 ** -40, dtype), dtype)).toBe(1 + 2 ** -fraction)
  })
})

describe('bulk conversion', () => {
  const floats: FloatDType[] = ['f32', 'f16', 'bf16', 'e4m3']

  it.each(floats)('%s agrees with the scalar conversion and touches only its range', (dtype) => {
    fc.assert(
      fc.property(
        fc.array(fc.double(), { maxLength: 40 }),
        fc.nat(5),
        fc.nat(5),
        fc.boolean(),
        (values, from, to, wide) => {
          const source = [...new Array<number>(from).fill(7), ...values]
          const bits = hostArray(dtype, to + values.length + 2).fill(9)
          encodeInto(source, from, bits, to, values.length, dtype)
          const expected = values.map((value) => toBits(value, dtype))
          expect([...bits]).toEqual([...new Array<number>(to).fill(9), ...expected, 9, 9])

          const numbers = new (wide ? Float64Array : Float32Array)(from + values.length + 2).fill(5)
          decodeInto(bits, to, numbers, from, values.length, dtype)
          const decoded = expected.map((code) => fromBits(code, dtype))
          expect([...numbers]).toEqual([...new Array<number>(from).fill(5), ...decoded, 5, 5])
        },
      ),
    )
  })

  it('converts whole arrays', () => {
    const bits = fromFloat32([1, -0.5, 1000], 'e4m3')
    expect(bits).toEqual(Uint8Array.of(0x38, 0xb0, 0x7e))
    expect(toFloat32(bits, 'e4m3')).toEqual(Float32Array.of(1, -0.5, 448))
  })

  it.each<[string, string, () => unknown]>([
    // @ts-expect-error types know it, too
    ['bits', 'of another dtype', () => toFloat32(new Float32Array(1), 'bf16')],
    // @ts-expect-error
    ['bits', 'that are still being downloaded', () => toFloat32(Promise.resolve(new Uint16Array(1)), 'bf16')],
    ['values', 'that are none', () => fromFloat32(null as never, 'bf16')],
    ...['bfloat16', 'i32', 'constructor'].flatMap((dtype): [string, string, () => unknown][] => [
      ['dtype', dtype, () => toFloat32(new Int32Array(1) as never, dtype as never)],
      ['dtype', dtype, () => fromFloat32([1], dtype as never)],
      [
        'dtype',
        dtype,
        () => decodeInto(new Int32Array(1) as never, 0, new Float32Array(1), 0, 1, dtype as never),
      ],
      ['dtype', dtype, () => fromBits(1, dtype as never)],
      ['dtype', dtype, () => toBits(1, dtype as never)],
    ]),
  ])('refuses %s %s', (path, _what, convert) => {
    expect(convert).toThrow(expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path }))
  })

  it('refuses ranges that leave an array, before writing', () => {
    const bits = new Uint16Array(4)
    const numbers = new Float32Array(4)
    const ranges = [
      [0, 0, 5],
      [2, 0, 3],
      [0, 2, 3],
      [-1, 0, 1],
      [0, -1, 1],
      [0, 0, -1],
      [0.5, 0, 1],
      [0, Number.NaN, 1],
    ]
    for (const [from, to, count] of ranges) {
      for (const run of [
        () => encodeInto([1, 1, 1, 1], from, bits, to, count, 'bf16'),
        () => decodeInto(bits, from, numbers, to, count, 'bf16'),
      ]) {
        expect(run).toThrow(expect.toSatisfy((e: unknown) => isPolymlaError(e, 'POLYMLA_INVALID_ARGUMENT')))
      }
    }
    expect([...bits, ...numbers]).toEqual(new Array(8).fill(0))
  })
})
