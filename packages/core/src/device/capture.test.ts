import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

const layout = { format: 'bf16', pages: 4, pageSize: 2, headDim: 16 } as const

describe.each([
  ['native graphs', true],
  ['replayed calls', false],
])('with %s', (_what, graphs) => {
  let open: OpenMemory

  beforeEach(async () => {
    open = await openMemory({ graphs, adopts: true })
  })

  afterEach(async () => {
    expectNothingLeft(open)
    await open.device.dispose()
  })

  it('captured work runs at each replay and not before', async () => {
    const { device, memory } = open
    using tensor = device.zeros({ shape: [4], dtype: 'u8' })
    using graph = device.capture((stream) => {
      expect(stream).toBe(device.defaultStream)
      tensor.slice(0, 0, 2).fillBytes(7)
      tensor.slice(0, 2, 4).fillBytes(8, { stream })
    })
    expect([memory.log, device.memory().handles.graph]).toEqual([['fill'], 1])
    graph.replay()
    graph.replay()
    expect(memory.log).toEqual(['fill', 'fill', 'fill', 'fill', 'fill'])
    expect([...(await tensor.download())]).toEqual([7, 7, 8, 8])
  })

  it('replays on any stream, one after the other', () => {
    const { device, memory } = open
    using stream = device.stream()
    using storage = device.createKvStorage(layout)
    using pages = device.upload(Int32Array.of(0, 1), { shape: [1, 2], dtype: 'i32' })
    using graph = device.capture(
      (capturing) => {
        expect(capturing).toBe(stream)
        device.copyPages({ cache: storage, pages })
      },
      { stream },
    )
    graph.replay()
    graph.replay({ stream })
    expect(memory.log.slice(1)).toEqual(['launch copyPages', 'wait', 'launch copyPages'])
    expect(memory.launches.map((launch) => launch.stream)).toEqual([
      device.defaultStream.backend,
      stream.backend,
    ])
    expect(() => graph.replay({ stream: {} as never })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'stream'))
    expect(() => graph.replay(null as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'options'))
  })

  it('keeps its own copy of the arguments', () => {
    const { device, memory } = open
    const shape = [2, 1, 1, 1, 16]
    using outs = device.empty({ shape, dtype: 'f32' })
    using lses = device.empty({ shape: [2, 1, 1, 1], dtype: 'f32' })
    using out = device.empty({ shape: [1, 1, 1, 16], dtype: 'f32' })
    const input = { outs, lses, out }
    using graph = device.capture(() => device.mergeStates(input))
    input.out = lses as never
    graph.replay()
    expect(memory.launches).toEqual([
      expect.objectContaining({ args: { outs, lses, out, lse: null, workspace: null } }),
    ])
  })

  it('refuses to replay once a tensor in it is gone', () => {
    const { device, memory } = open
    const tensor = device.empty({ shape: [1], dtype: 'u8' })
    using graph = device.capture(() => tensor.fillBytes(1))
    tensor.dispose()
    expect(() => graph.replay()).toThrow(coded('POLYMLA_DISPOSED'))
    expect(memory.log).toEqual([])
  })

  it('refuses to replay once it is disposed', () => {
    const graph = open.device.capture(() => {})
    graph.dispose()
    graph[Symbol.dispose]()
    expect(() => graph.replay()).toThrow(coded('POLYMLA_DISPOSED'))
  })

  it('refuses what a graph cannot hold', async () => {
    const { device, memory } = open
    using tensor = device.empty({ shape: [1], dtype: 'i32' })
    using storage = device.createKvStorage(layout)
    using elsewhere = device.stream()
    using graph = device.capture(() => {})
    const promises: Promise<unknown>[] = []
    const illegal: Record<string, () => unknown> = {
      nested: () => device.capture(() => {}),
      replay: () => graph.replay(),
      allocation: () => device.empty({ shape: [1], dtype: 'u8' }),
      upload: () => tensor.write(Int32Array.of(1)),
      'upload of a new tensor': () => device.upload(Int32Array.of(1), { shape: [1], dtype: 'i32' }),
      'numbers from the host': () => device.copyPages({ cache: storage, pages: [0, 1] }),
      'another stream': () => tensor.fillBytes(0, { stream: elsewhere }),
      'a launch on another stream': () =>
        device.copyPages({ cache: storage, pages: pairs, stream: elsewhere }),
      'an event': () => device.defaultStream.record(),
      'a wait': () => device.defaultStream.wait(event),
      'a new stream': () => device.stream(),
      'a wrapped stream': () => device.wrapStream(1n),
      'the end of a stream': () => elsewhere.dispose(),
    }
    using event = device.defaultStream.record()
    using pairs = device.upload(Int32Array.of(0, 1), { shape: [1, 2], dtype: 'i32' })
    using made = device.capture(() => {
      for (const [name, call] of Object.entries(illegal)) {
        expect(call, name).toThrow(coded('POLYMLA_CAPTURE_ILLEGAL'))
      }
      promises.push(tensor.download(), device.synchronize(), device.dispose())
    })
    for (const promise of promises) await expect(promise).rejects.toThrow(coded('POLYMLA_CAPTURE_ILLEGAL'))
    expect([elsewhere.disposed, device.disposed, memory.log]).toEqual([false, false, ['upload']])
    made.replay()
  })

  it.each([
    ['throws', () => raise(new TypeError('oops')), 'oops'],
    ['is asynchronous', async () => {}, 'promise'],
    ['is asynchronous and fails', async () => raise(new Error('later')), 'promise'],
  ])('a function that %s leaves a usable device', async (_what, work, message) => {
    const { device, memory } = open
    using tensor = device.zeros({ shape: [1], dtype: 'u8' })
    const capture = () => {
      tensor.fillBytes(9)
      return work()
    }
    expect(() => device.capture(capture as () => void)).toThrow(message)
    tensor.fillBytes(3)
    using graph = device.capture(() => tensor.fillBytes(4))
    expect([...(await tensor.download())]).toEqual([3])
    graph.replay()
    expect([...(await tensor.download())]).toEqual([4])
    expect(memory.log).toEqual(['fill', 'fill', 'download', 'fill', 'download'])
  })

  it('gives prepared problems back with the graph, or with a capture that failed', () => {
    const { device, memory } = open
    using storage = device.createKvStorage(layout)
    using pages = device.upload(Int32Array.of(0, 1), { shape: [1, 2], dtype: 'i32' })
    const copyTwice = () => {
      for (let i = 0; i < 2; i++) device.copyPages({ cache: storage, pages })
    }
    const graph = device.capture(copyTwice)
    expect(memory.live.plans).toBe(1)
    graph.dispose()
    expect(() =>
      device.capture(() => {
        copyTwice()
        raise(new Error('oops'))
      }),
    ).toThrow('oops')
    expect(memory.live.plans).toBe(0)
  })

  it.each([[undefined], [null], [{}]])('refuses to capture %o', (work) => {
    expect(() => open.device.capture(work as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'capture'))
    expect(() => open.device.capture(() => {}, null as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'options'),
    )
  })
})

describe('a backend that fails to end a capture', () => {
  const failed = new Error('invalidated')

  it('gives its error, unless the captured function had one, and leaves nothing behind', async () => {
    const open = await openMemory({ graphs: true, failures: { endCapture: failed } })
    const { device, memory } = open
    using storage = device.createKvStorage(layout)
    using pages = device.upload(Int32Array.of(0, 1), { shape: [1, 2], dtype: 'i32' })
    const work = () => device.copyPages({ cache: storage, pages })
    expect(() => device.capture(work)).toThrow(failed)
    expect(() =>
      device.capture(() => {
        work()
        raise(new Error('first'))
      }),
    ).toThrow('first')
    memory.options.failures = {}
    expect(memory.live.plans).toBe(0)
    device.capture(work).dispose()
    for (const tensor of [storage, pages]) tensor.dispose()
    expectNothingLeft(open)
  })
})

function raise(error: Error): never {
  throw error
}
