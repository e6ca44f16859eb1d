import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HostArray } from '../dtype/index.js'
import { hostArray, itemSize } from '../dtype/index.js'
import { isPolymlaError } from '../errors.js'
import { copyPage, readToken, readTokens, writeToken } from './format-tokens.js'
import type { KvFormat, KvLayout } from './formats.js'
import { KV_FORMATS, kvLayout, pageLength, storageDType, storageLength, storageStrides } from './formats.js'

const FORMATS = Object.keys(KV_FORMATS) as KvFormat[]

const storageOf = (layout: KvLayout): HostArray => hostArray(storageDType(layout), storageLength(layout))
const bytesOf = (storage: HostArray): Uint8Array =>
  new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength)

/** Reproducible numbers between -100 and 100, small ones more often. */
const noise = (seed: number, length: number): Float64Array => {
  let state = seed | 1
  return new Float64Array(length).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return 100 * (state / 2 ** 31) ** 5
  })
}

const read = (
  layout: KvLayout,
  storage: HostArray,
  page = 0,
  offset = 0,
  head = 0,
  scale = 1,
): Float64Array => {
  const row = new Float64Array(layout.headDim)
  readToken(layout, storage, page, offset, head, row, 0, scale)
  return row
}

/** A small layout of a format, with a gap between pages where asked. */
const small = (format: KvFormat, gap = 0, headsKv = 1): KvLayout => {
  const packed = KV_FORMATS[format].packed
  const tight = kvLayout({
    format,
    pages: 3,
    pageSize: 3,
    headsKv: packed ? 1 : headsKv,
    headDim: packed?.headDim ?? 32,
  })
  return kvLayout({ ...tight, pageStride: tight.pageStride + gap })
}

describe('plain formats', () => {
  it('lie as [pages, pageSize, headsKv, headDim] with a stride between pages', () => {
    const layout = kvLayout({
      format: 'bf16',
      pages: 2,
      pageSize: 2,
      headsKv: 2,
      headDim: 16,
      pageStride: 70,
    })
    const storage = new Uint16Array(storageLength(layout))
    storage.fill(0x7fc0)
    storage.fill(0x3f80, 70 + 3 * 16, 70 + 4 * 16)
    expect(read(layout, storage, 1, 1, 1)).toEqual(new Float64Array(16).fill(1))
    expect(read(layout, storage, 1, 1, 0)).toEqual(new Float64Array(16).fill(Number.NaN))
  })

  it('e4m3 is multiplied by the scale on reading and divided on writing', () => {
    const layout = small('e4m3')
    const storage = hostArray('e4m3', storageLength(layout)).fill(0x38)
    expect(read(layout, storage, 0, 0, 0, 0.25)[0]).toBe(0.25)
    writeToken(layout, storage, 0, 0, 0, new Float32Array(32).fill(-0.5), 0, 0.25)
    expect(storage[0]).toBe(0xc0)
    writeToken(layout, storage, 0, 0, 0, new Float32Array(32).fill(1e9), 0, 0.25)
    expect(read(layout, storage, 0, 0, 0, 0.25)[0]).toBe(112)
  })
})

describe('fp8-656', () => {
  const layout = kvLayout({ format: 'fp8-656', pages: 1, pageSize: 2 })

  it('reads FlashMLA bytes', () => {
    const storage = new Uint8Array(1312).fill(0xff)
    const token = new DataView(storage.buffer, 656, 656)
    for (let i = 0; i < 512; i++) token.setUint8(i, i % 2 ? 0x38 : 0xc0)
    for (let g = 0; g < 4; g++) token.setFloat32(512 + 4 * g, 0.1 * (g + 1), true)
    for (let i = 0; i < 64; i++) token.setUint16(528 + 2 * i, i % 2 ? 0x3f80 : 0xbf00, true)
    const row = read(layout, storage, 0, 1)
    for (let i = 0; i < 512; i++) {
      expect(row[i]).toBe((i % 2 ? 1 : -2) * Math.fround(0.1 * (Math.floor(i / 128) + 1)))
    }
    expect([...row.subarray(512)]).toEqual(Array.from({ length: 64 }, (_, i) => (i % 2 ? 1 : -0.5)))
  })

  it('writes FlashMLA bytes', () => {
    const storage = new Uint8Array(1312).fill(0xee)
    const row = new Float64Array(576)
    row.set([448, -1, 0.001], 0)
    row.set([-7, 3.5], 128)
    row.fill(1.5, 512)
    writeToken(layout, storage, 0, 1, 0, row, 0)
    const token = new DataView(storage.buffer, 656, 656)
    expect([...storage.subarray(656, 660)]).toEqual([0x7e, 0xb8, 0x01, 0])
    expect([...storage.subarray(656 + 128, 656 + 131)]).toEqual([0xfe, 0x76, 0])
    const scales = [0, 1, 2, 3].map((g) => token.getFloat32(512 + 4 * g, true))
    expect(scales).toEqual([1, 0.015625, 2 ** -126, 2 ** -126])
    expect([0, 63].map((i) => token.getUint16(528 + 2 * i, true))).toEqual([0x3fc0, 0x3fc0])
    expect(storage.subarray(0, 656).every((byte) => byte === 0xee)).toBe(true)
  })
})

describe('fp8-584', () => {
  const layout = kvLayout({ format: 'fp8-584', pages: 1, pageSize: 2 })

  it('reads FlashMLA bytes: tokens first, scales last, the pad never', () => {
    const storage = new Uint8Array(1168).fill(0xff)
    for (let i = 0; i < 448; i++) storage[576 + i] = 0x38
    const rope = new DataView(storage.buffer, 576 + 448, 128)
    for (let i = 0; i < 64; i++) rope.setUint16(2 * i, 0x4000, true)
    for (let g = 0; g < 7; g++) storage[1152 + 8 + g] = 127 + g - 3
    const row = read(layout, storage, 0, 1)
    for (let i = 0; i < 448; i++) expect(row[i]).toBe(2 ** (Math.floor(i / 64) - 3))
    expect(row.subarray(448).every((value) => value === 2)).toBe(true)
    expect(read(layout, storage, 0, 0).every(Number.isNaN)).toBe(true)
  })

  it('writes power-of-two scales, rounded up and floored', () => {
    const storage = new Uint8Array(1168).fill(0xee)
    const row = new Float64Array(512)
    const magnitudes = [448, 449, 896, 1e-3, 0, 2 ** -40, 1e300]
    magnitudes.forEach((value, group) => {
      row[group * 64] = value
    })
    writeToken(layout, storage, 0, 1, 0, row, 0)
    // 1e-3 / 448 is just above 2^-19, the floor 1e-4 / 448 just above 2^-23; 254 stands for 2^127, the largest.
    const exponents = [...storage.subarray(1160, 1168)].map((code) => code - 127)
    expect(exponents).toEqual([0, 1, 1, -18, -22, -22, 127, -127])
    expect([0, 1, 2, 6].map((g) => storage[576 + 64 * g])).toEqual([0x7e, 0x76, 0x7e, 0x7e])
    expect(storage.subarray(0, 576).every((byte) => byte === 0xee)).toBe(true)
    expect(storage.subarray(1152, 1160).every((byte) => byte === 0xee)).toBe(true)
  })
})

describe.each(FORMATS)('%s', (format) => {
  it('keeps every number within half a step of its group, rope within bf16', () => {
    const layout = small(format)
    const { latent, group } = {
      'fp8-656': { latent: 512, group: 128 },
      'fp8-584': { latent: 448, group: 64 },
    }[format as string] ?? { latent: layout.headDim, group: layout.headDim }
    const half = { bf16: 2 ** -8, fp16: 2 ** -11, f32: 2 ** -24 }[format as string] ?? 2 ** -4
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(1, 2 ** -12, 2 ** 9), (seed, magnitude) => {
        const row = noise(seed, layout.headDim).map((value) => value * magnitude)
        const storage = storageOf(layout)
        writeToken(layout, storage, 1, 2, 0, row, 0, magnitude)
        const found = read(layout, storage, 1, 2, 0, magnitude)
        let largest = 0
        for (let i = 0; i < row.length; i++) {
          const first = i - (i % group)
          if (i === first) largest = Math.max(...row.subarray(first, first + group).map(Math.abs))
          // Below the smallest normal value the step is constant: 2^-9 of an e4m3 scale, halved here.
          const floor = {
            fp16: 2 ** -25,
            e4m3: magnitude * 2 ** -10,
            'fp8-656': (largest / 224) * 2 ** -10,
            'fp8-584': (Math.max(largest, 1e-4) / 224) * 2 ** -10,
          }[format as string]
          const step = i < latent ? Math.max(Math.abs(row[i]) * half, floor ?? 0) : Math.abs(row[i]) * 2 ** -8
          const error = Math.abs(found[i] - row[i])
          if (error > step * (1 + 1e-6)) expect({ i, error }).toBe(step)
        }
      }),
    )
  })

  it('writes the bytes of its token alone', () => {
    const layout = small(format, 7, 2)
    const size = itemSize(storageDType(layout))
    const width = format === 'fp8-584' ? 576 : storageStrides(layout)[2] * size
    fc.assert(
      fc.property(fc.nat(2), fc.nat(2), fc.nat(layout.headsKv - 1), fc.nat(), (page, offset, head, seed) => {
        const storage = storageOf(layout)
        bytesOf(storage).fill(0x7f)
        const expected = bytesOf(storage).slice()
        writeToken(layout, storage, page, offset, head, noise(seed, layout.headDim), 0)
        const found = bytesOf(storage)
        const start = page * layout.pageStride * size
        const own = [[start + (offset * layout.headsKv + head) * width, width]]
        if (format === 'fp8-584') own.push([start + 3 * 576 + offset * 8, 8])
        for (const [at, length] of own) expected.set(found.subarray(at, at + length), at)
        expect(Buffer.compare(found, expected)).toBe(0)
      }),
    )
  })

  it('reads a run of tokens as it reads each of them', () => {
    const layout = small(format, 5, 2)
    const storage = storageOf(layout)
    bytesOf(storage).set(noise(7, storage.byteLength).map((value) => Math.abs(value * 1e6)))
    const arguments_ = fc.tuple(fc.nat(2), fc.nat(2), fc.nat(3), fc.nat(layout.headsKv - 1), fc.boolean())
    fc.assert(
      fc.property(arguments_, ([page, offset, wanted, head, single]) => {
        const count = Math.min(wanted, 3 - offset)
        const found = new (single ? Float32Array : Float64Array)(count * layout.headDim + 2).fill(-1)
        const expected = found.slice()
        for (let i = 0; i < count; i++) {
          readToken(layout, storage, page, offset + i, head, expected, 1 + i * layout.headDim, 0.75)
        }
        readTokens(layout, storage, page, offset, count, head, found, 1, 0.75)
        expect(found).toEqual(expected)
        expect([found[0], found.at(-1)]).toEqual([-1, -1])
      }),
    )
  })

  it('keeps NaN, survives infinities and an all-zero row', () => {
    const layout = small(format)
    const storage = storageOf(layout)
    writeToken(layout, storage, 0, 0, 0, new Float64Array(layout.headDim), 0)
    expect(read(layout, storage)).toEqual(new Float64Array(layout.headDim))

    const row = new Float64Array(layout.headDim).fill(2)
    row[3] = Number.NaN
    row[4] = Number.POSITIVE_INFINITY
    writeToken(layout, storage, 0, 0, 0, row, 0)
    const found = read(layout, storage)
    expect(found[3]).toBeNaN()
    expect(found[4]).toBeGreaterThanOrEqual(2)
    expect(found[5]).toBeCloseTo(2, 5)

    bytesOf(storage).fill(0x7f)
    if (format === 'fp16' || format === 'f32' || format === 'bf16') bytesOf(storage).fill(0xff)
    expect(read(layout, storage)[0]).toBeNaN()
  })

  it('copies a page and nothing beside it', () => {
    const layout = small(format, 9)
    const storage = storageOf(layout)
    bytesOf(storage).forEach((_, i, bytes) => {
      bytes[i] = i % 251
    })
    const before = storage.slice()
    copyPage(layout, storage, 2, 0)
    const length = pageLength(layout)
    const source = 2 * layout.pageStride
    expect(storage.slice(0, length)).toEqual(before.slice(source, source + length))
    expect(storage.slice(length)).toEqual(before.slice(length))
  })

  it('refuses tokens, storage and rows that do not fit, before writing', () => {
    const layout = small(format)
    const storage = storageOf(layout)
    const row = new Float64Array(layout.headDim).fill(1)
    const dtype = storageDType(layout)
    const wrongType = dtype === 'f32' ? new Uint8Array(1e4) : new Float32Array(1e4)
    const bad: [string, () => void][] = [
      ['page: expected an integer from 0 to 2', () => writeToken(layout, storage, 3, 0, 0, row, 0)],
      ['page:', () => readToken(layout, storage, -1, 0, 0, row, 0)],
      ['page:', () => readToken(layout, storage, 0.5, 0, 0, row, 0)],
      ['offset: expected an integer from 0 to 2', () => writeToken(layout, storage, 0, 3, 0, row, 0)],
      ['count: expected an integer from 0 to 2', () => readTokens(layout, storage, 0, 1, 3, 0, row, 0)],
      ['head: expected an integer from 0 to 0', () => writeToken(layout, storage, 0, 0, 1, row, 0)],
      ['storage:', () => writeToken(layout, wrongType, 0, 0, 0, row, 0)],
      ['storage.length:', () => writeToken(layout, storage.subarray(0, storage.length - 1), 0, 0, 0, row, 0)],
      ['src.length:', () => writeToken(layout, storage, 0, 0, 0, row, 1)],
      ['dst.length:', () => readToken(layout, storage, 0, 0, 0, row, -1)],
      ['to: expected an integer from 0 to 2', () => copyPage(layout, storage, 0, 3)],
      ['from:', () => copyPage(layout, storage, Number.NaN, 0)],
      [
        'page: expected a cache with pages',
        () => readToken(kvLayout({ ...layout, pages: 0 }), storage, 0, 0, 0, row, 0),
      ],
    ]
    if (format === 'e4m3') bad.push(['scale:', () => writeToken(layout, storage, 0, 0, 0, row, 0, 0)])
    for (const [start, run] of bad) {
      expect(run).toThrow(
        expect.toSatisfy(
          (e: Error) => isPolymlaError(e, 'POLYMLA_INVALID_ARGUMENT') && e.message.startsWith(start),
        ),
      )
    }
    expect(bytesOf(storage).every((byte) => byte === 0)).toBe(true)
  })
})

it('addresses pages past 2^31 elements', () => {
  // The row is read where it lies; a typed array that long is not needed to see the offset.
  const layout = kvLayout({ format: 'e4m3', pages: 2, headDim: 16, pageSize: 1, pageStride: 2 ** 31 + 16 })
  expect(() => readToken(layout, new Uint8Array(32), 1, 0, 0, new Float64Array(16), 0)).toThrow(
    `storage.length: expected at least ${2 ** 31 + 32}`,
  )
})
