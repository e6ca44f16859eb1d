import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'
import { contiguousStrides, elementCount } from './shape.js'
import type { Tensor } from './tensor.js'

let open: OpenMemory

beforeAll(async () => {
  open = await openMemory()
})

afterAll(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

/** A tensor whose elements are 0, 1, 2, … */
function counting(shape: readonly number[]): Tensor<'i32'> {
  const count = elementCount(shape)
  return open.device.upload(
    Int32Array.from({ length: count }, (_, i) => i),
    { shape, dtype: 'i32' },
  )
}

/** Offsets, in elements, of a view's elements in row-major order. */
function offsets(shape: readonly number[], strides: readonly number[], from: number): number[] {
  if (shape.length === 0) return [from]
  const [extent, ...inner] = shape
  const [stride, ...innerStrides] = strides
  return Array.from({ length: extent }, (_, i) => offsets(inner, innerStrides, from + i * stride)).flat()
}

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 })

describe('slice', () => {
  it('is what naive indexing picks, however often it is sliced', async () => {
    const cuts = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(shapes, cuts, async (shape, given) => {
        using tensor = counting(shape)
        let view = tensor
        let from = 0
        for (const [anyDim, anyBegin, anyEnd] of given) {
          const dim = anyDim % shape.length
          const begin = anyBegin % (view.shape[dim] + 1)
          const end = begin + (anyEnd % (view.shape[dim] - begin + 1))
          from += begin * tensor.strides[dim]
          view = view.slice(dim, begin, end)
        }
        const expected = offsets(view.shape, tensor.strides, from)
        expect([...(await view.download())]).toEqual(expected)
        expect(view.size).toBe(expected.length)
      }),
      { numRuns: 200 },
    )
  })

  it.each([
    ['dim', [2, 0, 1]],
    ['dim', [-1, 0, 1]],
    ['dim', ['length', 0, 1]],
    ['begin', [0, -1, 1]],
    ['begin', [0, 2, 1]],
    ['begin', [0, 0.5, 1]],
    ['end', [0, 0, 4]],
    ['end', [1, 0, undefined]],
  ])('refuses %s in %o', (path, args) => {
    using tensor = counting([3, 2])
    const [dim, begin, end] = args as [number, number, number]
    expect(() => tensor.slice(dim, begin, end)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
  })
})

describe('view', () => {
  it('is what naive indexing picks', async () => {
    const layouts = fc.tuple(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 6 })), { maxLength: 3 }),
      fc.integer({ min: 0, max: 4 }),
      fc.integer({ min: 0, max: 10 }),
    )
    await fc.assert(
      fc.asyncProperty(layouts, async ([outer, width, offset]) => {
        using tensor = counting([100])
        const shape = [...outer.map(([extent]) => extent), width]
        const strides = [...outer.map(([, stride]) => stride), 1]
        const view = tensor.view(shape, { strides, offset })
        expect([...(await view.download())]).toEqual(offsets(shape, strides, offset))
      }),
      { numRuns: 200 },
    )
  })

  it('reshapes what is contiguous', async () => {
    using tensor = counting([4, 3])
    const view = tensor.slice(0, 1, 3).view([3, 2])
    expect([view.shape, view.strides, view.byteOffset]).toEqual([[3, 2], [2, 1], 12])
    expect([...(await view.download())]).toEqual([3, 4, 5, 6, 7, 8])
  })

  it('takes a scalar', async () => {
    using tensor = counting([4])
    expect([...(await tensor.view([], { offset: 2 }).download())]).toEqual([2])
  })

  it.each([
    ['layout', [2], null],
    ['shape', 'no', {}],
    ['strides[1]', [2, 2], { strides: [2, 2] }],
    ['offset', [1], { offset: -1 }],
    ['offset', [1], { offset: 0.5 }],
    ['view', [13], {}],
    ['view', [12], { offset: 1 }],
    ['view', [2, 1], { strides: [12, 1] }],
    ['view', [0], { offset: 13 }],
    ['view', [2, 2], { strides: [Number.MAX_SAFE_INTEGER, 1] }],
  ])('refuses %s of %o with %o', (path, shape, layout) => {
    using tensor = counting([4, 3])
    expect(() => tensor.view(shape as number[], layout as object)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
  })

  it('asks for strides where rows lie apart', () => {
    using tensor = counting([4, 3])
    const columns = tensor.slice(1, 0, 2)
    expect(() => columns.view([8])).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'strides'))
    expect(columns.view([2, 2], { strides: [6, 1] }).contiguous).toBe(false)
  })
})

it('disposing the owner ends its views, disposing a view ends the view alone', async () => {
  const tensor = counting([4])
  const view = tensor.view([2])
  const slice = tensor.slice(0, 2, 4)
  view.dispose()
  view.dispose()
  expect([view.disposed, tensor.disposed, slice.disposed]).toEqual([true, false, false])
  expect(() => view.slice(0, 0, 1)).toThrow(coded('POLYMLA_DISPOSED'))
  expect([...(await slice.download())]).toEqual([2, 3])
  tensor.dispose()
  tensor.dispose()
  expect(slice.disposed).toBe(true)
  expect(() => slice.buffer).toThrow(coded('POLYMLA_DISPOSED'))
  await expect(slice.download()).rejects.toThrow(coded('POLYMLA_DISPOSED'))
})

it('counts strides in elements and offsets in bytes', () => {
  using tensor = open.device.empty({ shape: [2, 3], dtype: 'bf16' })
  expect([tensor.strides, contiguousStrides([2, 3])]).toEqual([
    [3, 1],
    [3, 1],
  ])
  expect(tensor.slice(0, 1, 2).byteOffset).toBe(6)
})
