import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DType } from '../dtype/index.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

let open: OpenMemory

beforeEach(async () => {
  open = await openMemory()
})

afterEach(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

describe('host data', () => {
  it.each([
    ['f32', Float32Array.of(1.5, -2)],
    ['f16', Uint16Array.of(1, 2)],
    ['bf16', Uint16Array.of(1, 2)],
    ['e4m3', Uint8Array.of(1, 2)],
    ['i32', Int32Array.of(-1, 2)],
    ['u8', Uint8Array.of(1, 2)],
  ] as const)('of %s comes back as it went', async (dtype, data) => {
    using tensor = open.device.upload<DType>(data, { shape: [2], dtype })
    const back = await tensor.download()
    expect(back).toEqual(data)
    expect(back.buffer).not.toBe(data.buffer)
  })

  it('is taken from where a view of a larger buffer begins', async () => {
    const data = Float32Array.of(0, 1, 2, 3).subarray(1, 3)
    using tensor = open.device.upload(data, { shape: [2], dtype: 'f32' })
    expect([...(await tensor.download())]).toEqual([1, 2])
  })

  it('may lie in shared memory, and is copied from it', async () => {
    const data = new Int32Array(new SharedArrayBuffer(8))
    data.set([3, 4])
    using tensor = open.device.upload(data, { shape: [2], dtype: 'i32' })
    data.fill(0)
    expect([...(await tensor.download())]).toEqual([3, 4])
  })

  it('may be the raw bytes of any dtype', async () => {
    using tensor = open.device.upload(Uint8Array.of(0, 0, 0x80, 0x3f), { shape: [1], dtype: 'f32' })
    expect([...(await tensor.download())]).toEqual([1])
  })

  it('may be a Float16Array, and comes back as bits', async () => {
    // Not every runtime has Float16Array: elsewhere something that is tagged so stands in for it.
    class Tagged extends Uint16Array {
      override get [Symbol.toStringTag]() {
        return 'Float16Array' as never
      }
    }
    const { Float16Array } = globalThis as { Float16Array?: new (values: number[]) => ArrayBufferView }
    const data = Float16Array ? new Float16Array([1, -2]) : Tagged.of(0x3c00, 0xc000)
    using tensor = open.device.upload(data as never, { shape: [2], dtype: 'f16' })
    expect(await tensor.download()).toEqual(Uint16Array.of(0x3c00, 0xc000))
    expect(() => open.device.upload(data as never, { shape: [2], dtype: 'bf16' })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'data'),
    )
  })

  it.each([
    ['data', [1, 2], { shape: [2], dtype: 'f32' }],
    ['data', Float64Array.of(1, 2), { shape: [2], dtype: 'f32' }],
    ['data', Float32Array.of(1, 2), { shape: [2], dtype: 'bf16' }],
    ['data', Int16Array.of(1, 2), { shape: [2], dtype: 'f16' }],
    ['data', Uint8ClampedArray.of(1, 2), { shape: [2], dtype: 'u8' }],
    ['data', Float32Array.of(1, 2), { shape: [3], dtype: 'f32' }],
    ['data', Uint8Array.of(1, 2, 3), { shape: [1], dtype: 'f32' }],
    ['data', null, { shape: [0], dtype: 'f32' }],
    ['dtype', Uint8Array.of(1), { shape: [1], dtype: 'fp8' }],
    ['dtype', Uint8Array.of(1), { shape: [1], dtype: 'constructor' }],
    ['shape', Uint8Array.of(1), { dtype: 'u8' }],
    ['options', Uint8Array.of(1), undefined],
    ['stream', Uint8Array.of(1), { shape: [1], dtype: 'u8', stream: {} }],
  ])('refuses %s: %o as %o', (path, data, options) => {
    expect(() => open.device.upload(data as never, options as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
    expect(open.memory.log).toEqual([])
  })

  it('of nothing may be detached', () => {
    const data = new Float32Array(4)
    structuredClone(data.buffer, { transfer: [data.buffer] })
    using tensor = open.device.upload(data, { shape: [0], dtype: 'f32' })
    expect(() => open.device.upload(data, { shape: [4], dtype: 'f32' })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'data'),
    )
    expect([tensor.size, open.memory.log]).toEqual([0, []])
  })
})

describe('write and fillBytes', () => {
  it('reach contiguous views only', async () => {
    using tensor = open.device.zeros({ shape: [2, 2], dtype: 'u8' })
    tensor.slice(0, 1, 2).write(Uint8Array.of(7, 8))
    tensor.slice(0, 0, 1).fillBytes(0xff)
    expect([...(await tensor.download())]).toEqual([255, 255, 7, 8])
    const column = tensor.slice(1, 0, 1)
    expect(() => column.write(Uint8Array.of(1, 2))).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'write'))
    expect(() => column.fillBytes(0)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'fillBytes'))
  })

  it.each([-1, 256, 1.5, '0', Number.NaN])('refuses the byte %o', (value) => {
    using tensor = open.device.empty({ shape: [1], dtype: 'u8' })
    expect(() => tensor.fillBytes(value as number)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'value'))
  })

  it('enqueue nothing for no elements', () => {
    using tensor = open.device.zeros({ shape: [3, 0], dtype: 'f32' })
    tensor.write(new Float32Array(0))
    expect(open.memory.log).toEqual([])
  })

  it('refuse a disposed tensor', () => {
    const tensor = open.device.empty({ shape: [1], dtype: 'u8' })
    tensor.dispose()
    expect(() => tensor.write(Uint8Array.of(1))).toThrow(coded('POLYMLA_DISPOSED'))
    expect(() => tensor.fillBytes(0)).toThrow(coded('POLYMLA_DISPOSED'))
  })
})

describe('allocation', () => {
  it('is counted until it is given back', () => {
    const { device } = open
    const a = device.empty({ shape: [3], dtype: 'f32' })
    const b = device.empty({ shape: [5], dtype: 'u8' })
    expect(device.memory()).toMatchObject({ liveBytes: 17, peakBytes: 17, handles: { tensor: 2 } })
    a.dispose()
    b[Symbol.dispose]()
    expect(device.memory()).toMatchObject({ liveBytes: 0, peakBytes: 17, handles: { tensor: 0 } })
  })

  it('of more than a device can have is out of memory', () => {
    for (const shape of [[2 ** 40], [2 ** 52]]) {
      expect(() => open.device.empty({ shape, dtype: 'f32' })).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    }
  })

  it('is given back when what should fill it cannot', async () => {
    const { device, memory } = open
    memory.options.failures = { upload: new Error('no pinned memory') }
    expect(() => device.upload(Uint8Array.of(1), { shape: [1], dtype: 'u8' })).toThrow('no pinned memory')
    const stream = device.stream()
    stream.dispose()
    expect(() => device.zeros({ shape: [1], dtype: 'u8', stream })).toThrow(coded('POLYMLA_DISPOSED'))
    expectNothingLeft(open)
  })
})

describe('pointer', () => {
  it('is unsupported where the device has no addresses', () => {
    using tensor = open.device.empty({ shape: [1], dtype: 'u8' })
    expect(() => tensor.pointer).toThrow(coded('POLYMLA_UNSUPPORTED'))
  })

  it('points at the first element of a view', async () => {
    const other = await openMemory({ adopts: true })
    using tensor = other.device.empty({ shape: [4], dtype: 'f32' })
    expect(tensor.slice(0, 3, 4).pointer).toBe(tensor.pointer + 12n)
    tensor.dispose()
    expect(() => tensor.pointer).toThrow(coded('POLYMLA_DISPOSED'))
  })
})

it('names its device and has a size', () => {
  using tensor = open.device.empty({ shape: [2, 3], dtype: 'f16' })
  expect([tensor.device, tensor.size, tensor.contiguous]).toEqual(['memory', 6, true])
})
