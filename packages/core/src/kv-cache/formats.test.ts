import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import type { KvLayoutOptions } from './formats.js'
import {
  isKvFormat,
  KV_FORMATS,
  kvLayout,
  pageBytes,
  storageDType,
  storageLength,
  storageShape,
  storageStrides,
  tokenBytes,
} from './formats.js'

const message = (options: unknown): string => {
  try {
    kvLayout(options as KvLayoutOptions)
  } catch (error) {
    if (isPolymlaError(error, 'POLYMLA_INVALID_ARGUMENT')) return error.message
    throw error
  }
  return 'accepted'
}

describe('kvLayout', () => {
  it.each([
    ['bf16', 576, 'bf16', 1152],
    ['fp16', 576, 'f16', 1152],
    ['f32', 576, 'f32', 2304],
    ['e4m3', 576, 'e4m3', 576],
    ['fp8-656', 576, 'u8', 656],
    ['fp8-584', 512, 'u8', 584],
  ] as const)('%s defaults to head dim %i in %s, %i bytes a token', (format, headDim, dtype, bytes) => {
    const layout = kvLayout({ format, pages: 3 })
    expect(layout).toMatchObject({ format, pages: 3, pageSize: 64, headsKv: 1, headDim })
    expect([storageDType(layout), tokenBytes(layout), pageBytes(layout)]).toEqual([dtype, bytes, 64 * bytes])
    expect(kvLayout(layout)).toEqual(layout)
    expect(Object.isFrozen(layout)).toBe(true)
  })

  it('describes the cache tensor', () => {
    const plain = kvLayout({
      format: 'bf16',
      pages: 5,
      pageSize: 16,
      headsKv: 2,
      headDim: 320,
      pageStride: 11_000,
    })
    expect(storageShape(plain)).toEqual([5, 16, 2, 320])
    expect(storageStrides(plain)).toEqual([11_000, 640, 320, 1])
    expect(storageLength(plain)).toBe(4 * 11_000 + 16 * 640)

    const packed = kvLayout({ format: 'fp8-656', pages: 2, pageSize: 2 })
    expect(storageShape(packed)).toEqual([2, 2, 1, 656])
    expect(storageStrides(packed)).toEqual([1312, 656, 656, 1])

    expect(storageLength(kvLayout({ format: 'f32', pages: 0 }))).toBe(0)
  })

  it('keeps offsets past 2^31 exact and refuses those past 2^53', () => {
    const far = kvLayout({ format: 'e4m3', pages: 2 ** 21 + 1, pageStride: 2 ** 31 + 1 })
    expect(storageLength(far)).toBe(2 ** 21 * (2 ** 31 + 1) + 64 * 576)
    expect(message({ ...far, pages: 2 ** 23 })).toBe(
      `pages: expected a cache of less than 2^53 bytes, found ${2 ** 23}`,
    )
    expect(message({ format: 'bf16', pages: 0, pageSize: 2 ** 50 })).toContain('found')
  })

  it.each([
    [undefined, 'layout: expected an object'],
    [
      { format: 'fp8', pages: 1 },
      'format: expected one of bf16, fp16, f32, e4m3, fp8-656, fp8-584, found "fp8"',
    ],
    [{ format: 'toString', pages: 1 }, 'format: expected one of'],
    [
      { format: 'bf16', pages: 1, pagesize: 32 },
      'layout.pagesize: expected one of the options format, pages',
    ],
    [{ format: 'bf16' }, 'pages: expected an integer from 0 to 2^53 - 1, found undefined'],
    [{ format: 'bf16', pages: -1 }, 'pages: expected'],
    [{ format: 'bf16', pages: 1.5 }, 'pages: expected'],
    [{ format: 'bf16', pages: 1, pageSize: 0 }, 'pageSize: expected an integer from 1'],
    [{ format: 'bf16', pages: 1, headsKv: 0 }, 'headsKv: expected an integer from 1'],
    [{ format: 'bf16', pages: 1, headDim: 100 }, 'headDim: expected a multiple of 16, found 100'],
    [{ format: 'fp8-656', pages: 1, headDim: 512 }, 'headDim: expected 576, the width of fp8-656, found 512'],
    [{ format: 'fp8-584', pages: 1, headsKv: 2 }, 'headsKv: expected 1, as fp8-584 has one KV head, found 2'],
    [{ format: 'fp8-584', pages: 1, pageStride: 37_375 }, 'pageStride: expected at least 37376'],
    [{ format: 'bf16', pages: 1, pageStride: Number.NaN }, 'pageStride: expected'],
  ])('refuses %o', (options, start) => {
    expect(message(options).startsWith(start)).toBe(true)
  })

  it('accepts or refuses anything with a coded error', () => {
    const odd = fc.oneof(
      fc.nat(700),
      fc.integer(),
      fc.double(),
      fc.constantFrom(0, 16, 512, 576),
      fc.anything(),
    )
    const options = fc.record(
      {
        format: fc.oneof(fc.constantFrom(...Object.keys(KV_FORMATS)), fc.anything()),
        pages: odd,
        pageSize: odd,
        headsKv: odd,
        headDim: odd,
        pageStride: odd,
      },
      { requiredKeys: ['format', 'pages'] },
    )
    fc.assert(
      fc.property(fc.oneof(options, fc.anything()), (value) => {
        if (message(value) !== 'accepted') return
        const layout = kvLayout(value as unknown as KvLayoutOptions)
        expect(isKvFormat(layout.format)).toBe(true)
        expect(Number.isSafeInteger(storageLength(layout))).toBe(true)
      }),
      { numRuns: 10_000 },
    )
  })
})
