import { gzipSync } from 'node:zlib'
import { isPolymlaError } from '@polymla/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FILE_DTYPES } from './dtypes.js'
import type { TensorToWrite } from './index.js'
import { readSafetensors, tensorElements, writeSafetensors } from './index.js'

/** A file with this header, as text or JSON value, and so many bytes of data. */
const fileOf = (header: unknown, data = 0): Uint8Array => {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + text.length + data)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  return file
}

const refusal = (file: Uint8Array, limit?: number): string => {
  try {
    readSafetensors(file, limit)
  } catch (error) {
    if (isPolymlaError(error, 'POLYMLA_INVALID_ARGUMENT')) return error.message
    throw error
  }
  return 'accepted'
}

const sample = () =>
  writeSafetensors(
    {
      'a.q': { dtype: 'BF16', shape: [2, 3], data: Uint16Array.of(1, 2, 3, 4, 5, 0xffff) },
      'a.lens': { dtype: 'I32', shape: [2], data: Int32Array.of(-1, 7) },
      'a.bytes': { dtype: 'U8', shape: [3], data: Uint8Array.of(9, 8, 7) },
      empty: { dtype: 'F32', shape: [0, 5], data: new Float32Array() },
      scalar: { dtype: 'F64', shape: [], data: Float64Array.of(0.1) },
    },
    { cases: '{"a":{}}', ключ: '"\\' },
  )

describe('a written file', () => {
  it('reads back', () => {
    const { tensors, metadata } = readSafetensors(sample())
    expect([...metadata]).toEqual([
      ['cases', '{"a":{}}'],
      ['ключ', '"\\'],
    ])
    expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ['scalar', 'F64', []],
      ['a.lens', 'I32', [2]],
      ['empty', 'F32', [0, 5]],
      ['a.q', 'BF16', [2, 3]],
      ['a.bytes', 'U8', [3]],
    ])
    const elements = (name: string) => tensorElements(tensors.get(name)!)
    expect(elements('a.q')).toEqual(Uint16Array.of(1, 2, 3, 4, 5, 0xffff))
    expect(elements('a.lens')).toEqual(Int32Array.of(-1, 7))
    expect(elements('a.bytes')).toEqual(Uint8Array.of(9, 8, 7))
    expect(elements('empty')).toEqual(new Float32Array())
    expect(new Float64Array(tensors.get('scalar')!.data.slice().buffer)).toEqual(Float64Array.of(0.1))
  })

  it('is read without copies where aligned, with one where not, from any view', () => {
    const file = sample()
    const aligned = readSafetensors(file).tensors.get('a.q')!
    expect(tensorElements(aligned).buffer).toBe(file.buffer)

    const shifted = Buffer.alloc(file.length + 1)
    shifted.set(file, 1)
    const odd = readSafetensors(shifted.subarray(1)).tensors.get('a.q')!
    expect(odd.data.buffer).toBe(shifted.buffer)
    expect(tensorElements(odd)).toEqual(tensorElements(aligned))
  })

  it('reads the same gzip-compressed', () => {
    expect(readSafetensors(gzipSync(sample()))).toEqual(readSafetensors(sample()))
  })

  it('does not depend on the order of its input', () => {
    const a = { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } as const
    const b = { dtype: 'F16', shape: [1], data: Uint16Array.of(2) } as const
    expect(writeSafetensors({ a, b })).toEqual(writeSafetensors({ b, a }))
  })

  it('keeps names that are special to JavaScript', () => {
    const tensors = new Map<string, TensorToWrite>()
    for (const name of ['__proto__', 'constructor', '7', '']) {
      tensors.set(name, { dtype: 'U8', shape: [1], data: Uint8Array.of(tensors.size) })
    }
    const file = readSafetensors(writeSafetensors(tensors))
    expect([...file.tensors].map(([name, { data }]) => [name, data[0]]).sort()).toEqual([
      ['', 3],
      ['7', 2],
      ['__proto__', 0],
      ['constructor', 1],
    ])
    expect('dtype' in {}).toBe(false)
  })

  it('is not made from data that do not fit their shape, unknown dtypes or reserved names', () => {
    const data = new Uint8Array(4)
    const write = (name: string, dtype: string, shape: number[]) => () =>
      writeSafetensors({ [name]: { dtype: dtype as 'U8', shape, data } })
    expect(write('a', 'U8', [5])).toThrow('tensors["a"].data: expected the bytes of U8 [5], found 4 bytes')
    expect(write('a', 'U8', [-2, -2])).toThrow('tensors["a"].data')
    expect(write('a', 'F4', [8])).toThrow('tensors["a"].dtype: expected one of BOOL')
    expect(write('__metadata__', 'U8', [4])).toThrow('tensors["__metadata__"]: expected another name')
  })

  it('knows dtypes the library cannot compute with, and says so when asked to', () => {
    const { tensors } = readSafetensors(sample())
    expect(() => tensorElements(tensors.get('scalar')!)).toThrow(
      'tensors of dtype F64 cannot be computed with',
    )
  })
})

describe('a foreign file', () => {
  const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({
    a: { dtype, shape, data_offsets: offsets },
  })

  it('may list tensors in any order, pad its header and have none', () => {
    const b = { dtype: 'U8', shape: [2], data_offsets: [1, 3] }
    expect([...readSafetensors(fileOf({ b, ...entry('U8', [1], [0, 1]) }, 3)).tensors.keys()]).toEqual([
      'b',
      'a',
    ])
    expect(readSafetensors(fileOf('{}   ')).tensors.size).toBe(0)
  })

  it('of a header length that starts like gzip is not taken for gzip', () => {
    const text = `{${' '.repeat(0x088b1f - 2)}}`
    const file = fileOf(text)
    expect([...file.subarray(0, 3)]).toEqual([0x1f, 0x8b, 8])
    expect(readSafetensors(file).tensors.size).toBe(0)
  })

  const huge = (length: bigint): Uint8Array => {
    const file = fileOf('{}')
    new DataView(file.buffer).setBigUint64(0, length, true)
    return file
  }

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'file: expected at least 8 bytes, found 0'],
    ['a truncated length', new Uint8Array(7), 'file: expected at least 8 bytes, found 7'],
    [
      'a header longer than the file',
      huge(3n),
      'header length: expected at most the 2 bytes that follow, found 3',
    ],
    ['a header past the limit', huge(100_000_001n), 'header length: expected at most 100000000 bytes'],
    ['a negative header length', huge(2n ** 64n - 1n), 'header length: expected at most 100000000 bytes'],
    ['no JSON', fileOf('{"a":'), 'header: expected a JSON object'],
    ['leading space', fileOf(' {}'), 'header: expected a JSON object, found " {}"'],
    ['an array', fileOf('[]'), 'header: expected a JSON object, found "[]"'],
    ['an empty header', fileOf(''), 'header: expected a JSON object, found ""'],
    ['a NUL', fileOf('{}\0'), 'header: expected a JSON object'],
    ['invalid UTF-8', fileOf('{}').fill(0xff, 9, 10), 'header: expected UTF-8 text, found other bytes'],
    ['a byte order mark', fileOf('\ufeff{}'), 'header: expected a JSON object'],
    ['a tensor twice', fileOf('{"a":1,"\\u0061":2}'), 'header: expected every key once, found "a" twice'],
    [
      'a field twice',
      fileOf('{"a":{"shape":[],"x":[{"s":1}],"shape":[]}}'),
      'header: expected every key once',
    ],
    [
      'metadata that is no object',
      fileOf({ __metadata__: [] }),
      '__metadata__: expected an object of strings',
    ],
    [
      'metadata that is no text',
      fileOf({ __metadata__: { n: 1 } }),
      '__metadata__["n"]: expected a string, found 1',
    ],
    ['a tensor that is no object', fileOf({ a: null }), 'tensor "a": expected an object with dtype'],
    ['an unknown dtype', fileOf(entry('F4', [1], [0, 1]), 1), 'tensor "a" dtype: expected one of BOOL'],
    ['an inherited dtype', fileOf(entry('toString', [1], [0, 1]), 1), 'tensor "a" dtype: expected one of'],
    ['no shape', fileOf(entry('U8', undefined, [0, 1]), 1), 'tensor "a" shape: expected a list'],
    ['a fractional shape', fileOf(entry('U8', [0.5, 2], [0, 1]), 1), 'tensor "a" shape: expected a list'],
    ['a negative shape', fileOf(entry('U8', [-1, -1], [0, 1]), 1), 'tensor "a" shape: expected a list'],
    [
      'a shape too large',
      fileOf(entry('U8', [2 ** 52, 4, 0], [0, 0])),
      'tensor "a" shape: expected less than 2^53',
    ],
    ['one offset', fileOf(entry('U8', [1], [0]), 1), 'tensor "a" data_offsets: expected two'],
    ['offsets reversed', fileOf(entry('U8', [1], [1, 0]), 1), 'tensor "a" data_offsets: expected two'],
    ['negative offsets', fileOf(entry('U8', [1], [-1, 0]), 1), 'tensor "a" data_offsets: expected two'],
    [
      'offsets that do not fit the shape',
      fileOf(entry('F32', [2], [0, 7]), 7),
      'tensor "a" data_offsets: expected 8',
    ],
    ['data past the end', fileOf(entry('U8', [2], [0, 2]), 1), 'tensor data: expected 2 bytes'],
    [
      'data left over',
      fileOf(entry('U8', [1], [0, 1]), 2),
      'tensor data: expected 1 bytes, as the header says, found 2',
    ],
    [
      'a hole before',
      fileOf(entry('U8', [1], [1, 2]), 2),
      'tensor "a" data_offsets: expected a start at 0, found 1',
    ],
    [
      'a hole between',
      fileOf({ ...entry('U8', [1], [0, 1]), b: { dtype: 'U8', shape: [1], data_offsets: [2, 3] } }, 3),
      'tensor "b" data_offsets: expected a start at 1, found 2',
    ],
    [
      'an overlap',
      fileOf({ ...entry('U8', [2], [0, 2]), b: { dtype: 'U8', shape: [2], data_offsets: [1, 3] } }, 3),
      'tensor "b" data_offsets: expected a start at 2, found 1',
    ],
    ['a deep header', fileOf(`{"a":${'['.repeat(50_000)}`), 'header: expected a JSON object'],
    ['broken gzip', gzipSync(sample()).subarray(0, 40), 'file: expected gzip data, found'],
    ['a long name', fileOf({ ['n'.repeat(1000)]: 1 }), `tensor "${'n'.repeat(59)}…: expected an object`],
  ])('is refused for %s', (_, file, start) => {
    expect(refusal(file).slice(0, start.length)).toBe(start)
  })

  it('is refused when it unfolds to more than the limit', () => {
    expect(refusal(gzipSync(new Uint8Array(1 << 22)), 1 << 20)).toBe(
      'file: expected at most 1048576 bytes once unfolded, found more. ' +
        'The file is not a safetensors file or is damaged: fetch or write it again',
    )
  })

  it('reads consistently or is refused with a coded error, whatever it holds', () => {
    const number = fc.oneof(fc.nat(9), fc.integer(), fc.double(), fc.maxSafeInteger(), fc.constant(2 ** 52))
    const tensor = fc.record(
      {
        dtype: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...FILE_DTYPES) }, fc.jsonValue()),
        shape: fc.oneof({ weight: 5, arbitrary: fc.array(fc.nat(3), { maxLength: 3 }) }, fc.array(number)),
        data_offsets: fc.oneof(
          fc.tuple(fc.nat(9), fc.nat(9)),
          fc.array(number, { maxLength: 3 }),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: ['dtype', 'shape', 'data_offsets'] },
    )
    const name = fc.oneof(fc.constantFrom('a', 'b', '__proto__', '__metadata__'), fc.string())
    const structured = fc
      .tuple(fc.dictionary(name, fc.oneof({ weight: 4, arbitrary: tensor }, fc.jsonValue())), fc.nat(20))
      .map(([header, data]) => fileOf(header, data))
    const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
      maxLength: 4,
    })
    const valid = sample()
    const mutate = (file: Uint8Array, changes: [number, number][], cut: number): Uint8Array => {
      const bytes = file.slice(0, file.length - cut)
      for (const [where, value] of changes) bytes[Math.floor(where * (bytes.length - 1))] = value
      return bytes
    }
    const cuts = fc.oneof(fc.constant(0), fc.nat(valid.length))
    const mutated = fc.tuple(flips, cuts).map(([changes, cut]) => mutate(valid, changes, cut))
    const zipped = gzipSync(valid)
    const mutatedZip = fc
      .tuple(flips, fc.oneof(fc.constant(0), fc.nat(zipped.length)))
      .map(([changes, cut]) => mutate(zipped, changes, cut))
    const noise = fc.uint8Array({ maxLength: 200 })

    fc.assert(
      fc.property(fc.oneof(structured, mutated, mutatedZip, noise), (bytes) => {
        if (refusal(bytes, 1 << 16) !== 'accepted') return
        for (const { dtype, shape, data } of readSafetensors(bytes, 1 << 16).tensors.values()) {
          const elements = shape.reduce((product, extent) => product * extent, 1)
          const size = elements === 0 ? 0 : data.length / elements
          expect([0, 1, 2, 4, 8]).toContain(size)
          expect(FILE_DTYPES).toContain(dtype)
        }
      }),
      { numRuns: 12_000 },
    )
  })
})
