import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import { asHostArray, DTYPES, hostArray, isDType, itemSize } from './dtype.js'

const invalid = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (isPolymlaError(error, 'POLYMLA_INVALID_ARGUMENT')) return error.message
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('dtype', () => {
  it('knows its names', () => {
    expect(DTYPES).toEqual(['f32', 'f16', 'bf16', 'e4m3', 'i32', 'u8'])
    expect(DTYPES.every(isDType)).toBe(true)
    for (const other of ['f64', 'toString', '__proto__', '', 1, null, ['f32']])
      expect(isDType(other)).toBe(false)
  })

  it('allocates zeroed host arrays of the documented type', () => {
    const bytes = DTYPES.map((dtype) => [dtype, itemSize(dtype), hostArray(dtype, 3).constructor.name])
    expect(bytes).toEqual([
      ['f32', 4, 'Float32Array'],
      ['f16', 2, 'Uint16Array'],
      ['bf16', 2, 'Uint16Array'],
      ['e4m3', 1, 'Uint8Array'],
      ['i32', 4, 'Int32Array'],
      ['u8', 1, 'Uint8Array'],
    ])
    expect([...hostArray('i32', 2)]).toEqual([0, 0])
  })

  it('is out of memory for more than the host gives', () => {
    expect(() => hostArray('f32', 2 ** 50)).toThrow(
      expect.objectContaining({ code: 'POLYMLA_OUT_OF_MEMORY' }),
    )
  })

  it('views a buffer in place', () => {
    const buffer = new SharedArrayBuffer(16)
    const view = hostArray('bf16', buffer, 6, 4)
    view[0] = 0x3f80
    expect([...new Uint8Array(buffer, 6, 2)]).toEqual([0x80, 0x3f])
    expect(view.length).toBe(4)
  })

  it('refuses views that are misaligned or leave the buffer, and lengths that are not counts', () => {
    const buffer = new ArrayBuffer(16)
    expect(invalid(() => hostArray('f32', buffer, 2, 1))).toBe(
      'byteOffset: expected a multiple of 4, found 2',
    )
    expect(invalid(() => hostArray('f32', buffer, 8, 3))).toBe(
      'buffer.byteLength: expected at least 20, found 16',
    )
    expect(invalid(() => hostArray('u8', buffer, 0, -1))).toContain('length: expected a non-negative integer')
    expect(invalid(() => hostArray('u8', 1.5))).toContain('length: expected a non-negative integer')
    expect(invalid(() => hostArray('u8', buffer, Number.NaN, 1))).toContain('byteOffset')
  })

  it('accepts exactly the host array of a dtype', () => {
    const bits = new Uint16Array(4)
    expect(asHostArray('bf16', bits, 'q')).toBe(bits)
    expect(asHostArray('u8', Buffer.alloc(2), 'q')).toHaveLength(2)
    for (const wrong of [
      new Float32Array(1),
      new Int16Array(1),
      new DataView(new ArrayBuffer(2)),
      [1],
      null,
    ]) {
      expect(invalid(() => asHostArray('bf16', wrong, 'q'))).toContain(
        'q: expected a Uint16Array (bf16), found',
      )
    }
  })

  it('takes Float16Array as f16 bits, and as nothing else', () => {
    // Runtimes without the type get a stand-in with its tag.
    class Tagged extends Uint16Array {
      override get [Symbol.toStringTag](): 'Uint16Array' {
        return 'Float16Array' as 'Uint16Array'
      }
    }
    const buffer = new Uint16Array([0, 0x3c00, 0xc000]).buffer
    const native = (globalThis as { Float16Array?: typeof Uint16Array }).Float16Array
    const halves = new (native ?? Tagged)(buffer, 2, 2)
    const bits = asHostArray('f16', halves, 'q')
    expect(bits.constructor).toBe(Uint16Array)
    expect([...bits]).toEqual([0x3c00, 0xc000])
    expect(bits.buffer).toBe(buffer)
    expect(invalid(() => asHostArray('bf16', halves, 'q'))).toContain('expected a Uint16Array (bf16)')
  })
})
