import { describe, expect, it } from 'vitest'
import { copyPagesProblem } from '../problem/index.js'
import { coded, expectNothingLeft, openMemory } from '../testing/open-memory.js'

const layout = { format: 'bf16', pages: 3, pageSize: 2, headDim: 16 } as const
const decode = { maxBatch: 1, heads: 1, valueDim: 16, blockTableWidth: 1, softmaxScale: 1 } as const

describe('dispose', () => {
  it('ends every handle, and may be repeated', async () => {
    const { device, memory } = await openMemory()
    const tensor = device.empty({ shape: [2], dtype: 'f32' })
    const stream = device.stream()
    const event = stream.record()
    const graph = device.capture(() => tensor.fillBytes(0))
    const storage = device.createKvStorage(layout)
    const plan = device.planDecode({ ...decode, cache: storage.layout })
    const [first, second] = [device.dispose(), device.dispose()]
    await Promise.all([first, second])
    expect([device.disposed, memory.disposed, tensor.disposed, stream.disposed]).toEqual(
      new Array(4).fill(true),
    )

    for (const use of [
      () => device.empty({ shape: [1], dtype: 'u8' }),
      () => device.supports(plan.problem),
      () => device.stream(),
      () => device.wrap({ pointer: 1n, shape: [], dtype: 'u8' }),
      () => device.wrapStream(1n),
      () => device.planDecode({ ...decode, cache: storage.layout }),
      () => device.adoptKvStorage(storage.tensor, layout),
      () => device.capture(() => {}),
      () => tensor.fillBytes(0),
      () => tensor.slice(0, 0, 1),
      () => stream.record(),
      () => event.query(),
      () => graph.replay(),
      () => plan.update({ seqlens: [], blockTable: [] }),
    ]) {
      expect(use).toThrow(coded('POLYMLA_DISPOSED'))
    }
    await expect(device.synchronize()).rejects.toThrow(coded('POLYMLA_DISPOSED'))

    for (const handle of [tensor, stream, event, graph, storage, plan]) handle.dispose()
    expect(device.memory()).toEqual({
      liveBytes: 0,
      peakBytes: expect.any(Number),
      handles: { tensor: 0, stream: 0, event: 0, plan: 0, graph: 0 },
    })
  })

  it('is what await using does', async () => {
    const { device, memory } = await openMemory()
    {
      await using scoped = device
      using tensor = scoped.empty({ shape: [1], dtype: 'u8' })
      expect(tensor.disposed).toBe(false)
    }
    expect([memory.disposed, device.memory().liveBytes]).toEqual([true, 0])
  })
})

describe('memory', () => {
  it("adds the device's own figures while it is open", async () => {
    const { device, memory } = await openMemory()
    expect(device.memory()).toMatchObject(memory.memory())
    await device.dispose()
    expect(device.memory()).not.toHaveProperty('totalBytes')
  })

  it('is a copy', async () => {
    const { device } = await openMemory()
    const { handles } = device.memory()
    using _tensor = device.empty({ shape: [1], dtype: 'u8' })
    expect([handles.tensor, device.memory().handles.tensor]).toEqual([0, 1])
  })
})

describe('supports', () => {
  it('hands valid problems to the backend, and no others', async () => {
    const asked: unknown[] = []
    const { device } = await openMemory({
      supports: (problem) => {
        asked.push(problem)
        return 'never'
      },
    })
    const problem = copyPagesProblem({ maxPairs: 1, cache: device.createKvStorage(layout).layout })
    expect(device.supports(problem)).toBe('never')
    expect(asked).toEqual([problem])
    for (const bad of [null, 'decode', {}, { ...problem, op: 'toString' }, { ...problem, maxPairs: 0.5 }]) {
      expect(() => device.supports(bad as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT'))
    }
    expect(asked).toHaveLength(1)
  })
})

describe('wrap', () => {
  const wrapped = { pointer: 0x1000n, shape: [2, 3], dtype: 'f32' } as const

  it('makes a tensor of foreign memory that is never freed', async () => {
    const open = await openMemory({ adopts: true })
    const owner = {}
    const tensor = open.device.wrap({ ...wrapped, strides: [4, 1], owner })
    expect(tensor.pointer).toBe(0x1000n)
    expect([tensor.shape, tensor.strides, tensor.buffer.bytes]).toEqual([[2, 3], [4, 1], 28])
    tensor.slice(0, 0, 1).slice(1, 1, 2).write(Float32Array.of(5))
    expect([...(await tensor.download())]).toEqual([0, 5, 0, 0, 0, 0])
    expectNothingLeft(open)
    tensor.dispose()
    expect(() => tensor.buffer).toThrow(coded('POLYMLA_DISPOSED'))
    expectNothingLeft(open)
  })

  it('is unsupported where memory cannot be adopted', async () => {
    const { device } = await openMemory()
    expect(() => device.wrap(wrapped)).toThrow(coded('POLYMLA_UNSUPPORTED'))
    expect(() => device.wrapStream(1n)).toThrow(coded('POLYMLA_UNSUPPORTED'))
  })

  it.each([
    ['pointer', { pointer: 0n }],
    ['pointer', { pointer: -8n }],
    ['pointer', { pointer: 4096 }],
    ['pointer', { pointer: 2n ** 64n }],
    ['pointer', { pointer: 0x1002n }],
    ['shape[0]', { shape: [-1] }],
    ['dtype', { dtype: 'f64' }],
    ['strides', { strides: [1] }],
    ['strides[0]', { strides: [Number.NaN, 1] }],
    ['strides[1]', { strides: [1, 2] }],
    ['strides', { strides: [2 ** 52, 1] }],
  ])('refuses %s of %o', async (path, bad) => {
    const { device } = await openMemory({ adopts: true })
    expect(() => device.wrap({ ...wrapped, ...bad } as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
    expect(() => device.wrap(undefined as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'options'))
  })

  it('wraps streams too', async () => {
    const open = await openMemory({ adopts: true })
    const stream = open.device.wrapStream(7n)
    await stream.synchronize()
    stream.dispose()
    expectNothingLeft(open)
    for (const pointer of [-1n, 7]) {
      expect(() => open.device.wrapStream(pointer as bigint)).toThrow(
        coded('POLYMLA_INVALID_ARGUMENT', 'pointer'),
      )
    }
  })
})

describe('KV storage', () => {
  it('has the shape and strides of its layout', async () => {
    const open = await openMemory()
    using storage = open.device.createKvStorage({ ...layout, pageStride: 40 })
    expect(storage.tensor).toMatchObject({ dtype: 'bf16', shape: [3, 2, 1, 16], strides: [40, 16, 16, 1] })
    expect(open.device.memory().liveBytes).toBe((2 * 40 + 32) * 2)
    storage.dispose()
    expectNothingLeft(open)
  })

  it('adopts a tensor that is already laid out so', async () => {
    const { device } = await openMemory()
    using whole = device.empty({ shape: [3, 2, 2, 1, 16], dtype: 'bf16' })
    const layer = whole.slice(1, 1, 2).view([3, 2, 1, 16], { strides: [64, 16, 16, 1] })
    const storage = device.adoptKvStorage(layer, { ...layout, pageStride: 64 })
    expect([storage.tensor, storage.layout.pageStride]).toEqual([layer, 64])
    using page = device.empty({ shape: [1, 2, 1, 16], dtype: 'bf16' })
    expect(device.adoptKvStorage(page, { ...layout, pages: 1, pageStride: 999 }).tensor).toBe(page)
  })

  it('adopts no other', async () => {
    const { device } = await openMemory()
    const other = await openMemory()
    const at = (given = {}) => ({ ...layout, ...given })
    using right = device.empty({ shape: [3, 2, 1, 16], dtype: 'bf16' })
    using foreign = other.device.empty({ shape: [3, 2, 1, 16], dtype: 'bf16' })
    const gone = device.empty({ shape: [3, 2, 1, 16], dtype: 'bf16' })
    gone.dispose()
    for (const [tensor, options, path, code] of [
      [null, at(), 'tensor', 'POLYMLA_INVALID_ARGUMENT'],
      [foreign, at(), 'tensor', 'POLYMLA_INVALID_ARGUMENT'],
      // A wider format over the same shape would be read past its end.
      [right, at({ format: 'f32' }), 'tensor', 'POLYMLA_INVALID_ARGUMENT'],
      [right, at({ pages: 4 }), 'tensor.shape[0]', 'POLYMLA_INVALID_ARGUMENT'],
      [right, at({ pageStride: 33 }), 'tensor', 'POLYMLA_INVALID_ARGUMENT'],
      [right.view([96]), at(), 'tensor', 'POLYMLA_INVALID_ARGUMENT'],
      [right, at({ pageSize: 0 }), 'pageSize', 'POLYMLA_INVALID_ARGUMENT'],
      [gone, at(), undefined, 'POLYMLA_DISPOSED'],
    ] as const) {
      expect(() => device.adoptKvStorage(tensor as never, options)).toThrow(coded(code, path))
    }
  })
})

it('keeps a paged cache', async () => {
  const open = await openMemory()
  using cache = open.device.createKvCache({ ...layout, layers: 2 })
  expect([cache.layers.length, cache.freePages, open.device.memory().handles.tensor]).toEqual([2, 3, 2])
  cache.dispose()
  expectNothingLeft(open)
})

describe('measurePeaks', () => {
  const peaks = { readBytesPerSecond: 1, f32FlopsPerSecond: 2, bf16FlopsPerSecond: 3, f16FlopsPerSecond: 2 }

  it('is what the backend measures, once the default stream is empty', async () => {
    const { device, memory } = await openMemory({ peaks, pending: true })
    let measured = false
    const measuring = device.measurePeaks().then((found) => {
      measured = true
      return found
    })
    await new Promise(setImmediate)
    expect(measured).toBe(false)
    memory.settle()
    expect(await measuring).toEqual(peaks)
  })

  it('is null where the backend cannot tell', async () => {
    const { device } = await openMemory()
    expect(await device.measurePeaks()).toBeNull()
  })

  it('is refused during capture', async () => {
    const { device } = await openMemory({ peaks })
    let measuring: Promise<unknown> | undefined
    device.capture(() => {
      measuring = device.measurePeaks()
      measuring.catch(() => {})
    })
    await expect(measuring).rejects.toThrow(coded('POLYMLA_CAPTURE_ILLEGAL'))
  })
})
