import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KvStorage } from '../kv-cache/storage.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

let open: OpenMemory
let cache: KvStorage

beforeEach(async () => {
  open = await openMemory()
  cache = open.device.createKvStorage({ format: 'bf16', pages: 8, pageSize: 2, headDim: 16 })
})

afterEach(async () => {
  cache.dispose()
  expectNothingLeft(open)
  await open.device.dispose()
})

describe('copyPages', () => {
  it('launches with pairs from the host or the device', () => {
    const { device, memory } = open
    device.copyPages({ cache, pages: [0, 4, 0, 5, 7, 6] })
    using pages = device.upload(Int32Array.of(0, 99), { shape: [1, 2], dtype: 'i32' })
    device.copyPages({ cache, pages })
    expect(memory.launches).toMatchObject([
      { problem: { op: 'copyPages', maxPairs: 4 }, args: { pairs: 3, cache: cache.tensor, workspace: null } },
      { problem: { maxPairs: 1 }, args: { pairs: 1, pages } },
    ])
    expect(memory.launches[0].args).toMatchObject({ pages: { shape: [3, 2], dtype: 'i32' } })
  })

  it('of no pairs enqueues nothing', () => {
    open.device.copyPages({ cache, pages: [] })
    expect(open.memory.log).toEqual([])
  })

  it.each([
    ['pages', undefined],
    ['pages', {}],
    ['pages', { length: 2 ** 40 }],
    ['pages', [1, 2, 3]],
    ['pages[1]', [0, 8]],
    ['pages[0]', [-1, 1]],
    ['pages[0]', [0.5, 1]],
    ['pages[3]', [0, 1, 2, 1]],
    ['pages[2]', [0, 1, 1, 2]],
    ['pages[0]', [3, 3]],
  ])('refuses %s of %o before anything is written', (path, pages) => {
    expect(() => open.device.copyPages({ cache, pages: pages as never })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
    expect(open.memory.log).toEqual([])
  })

  it('refuses tensors of another shape, and what is no cache', () => {
    const { device } = open
    using flat = device.empty({ shape: [2], dtype: 'i32' })
    using triples = device.empty({ shape: [1, 3], dtype: 'i32' })
    for (const [path, input] of [
      ['pages', { cache, pages: flat }],
      ['pages.shape[1]', { cache, pages: triples }],
      ['cache', { cache: flat, pages: [] }],
      ['input', undefined],
      ['input.page', { cache, pages: [], page: [] }],
    ] as const) {
      expect(() => device.copyPages(input as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    }
  })
})

describe('prepared problems', () => {
  const pairs = (count: number) => Array.from({ length: count }, (_, i) => [0, i + 1]).flat()

  it('serve all counts up to the next power of two', () => {
    for (const count of [3, 4, 3, 1, 2, 5, 7]) open.device.copyPages({ cache, pages: pairs(count) })
    expect(open.memory.launches.map(({ problem }) => (problem as { maxPairs: number }).maxPairs)).toEqual([
      4, 4, 4, 1, 2, 8, 8,
    ])
    expect(open.memory.live.plans).toBe(4)
  })

  it('belong to a stream, and go with it', () => {
    const { device, memory } = open
    const stream = device.stream()
    device.copyPages({ cache, pages: pairs(1) })
    device.copyPages({ cache, pages: pairs(1), stream })
    expect(memory.live.plans).toBe(2)
    stream.dispose()
    expect(memory.live.plans).toBe(1)
  })

  it('are 64 per stream; the least recently used makes room', () => {
    const { device, memory } = open
    const caches = Array.from({ length: 66 }, (_, i) =>
      device.createKvStorage({ format: 'bf16', pages: i + 2, pageSize: 1, headDim: 16 }),
    )
    const use = (i: number) => device.copyPages({ cache: caches[i], pages: [0, 1] })
    const made: number[] = []
    const { prepare } = memory
    memory.prepare = (problem) => {
      made.push((problem as { cache: { pages: number } }).cache.pages - 2)
      return prepare.call(memory, problem) as never
    }
    for (let i = 0; i < 64; i++) use(i)
    use(0)
    use(64)
    expect([memory.live.plans, made.length]).toEqual([64, 65])
    use(0)
    use(1)
    expect([memory.live.plans, made.slice(65)]).toEqual([64, [1]])
    for (const one of caches) one.dispose()
  })

  it('get their scratch from core, for as long as the launch', async () => {
    const other = await openMemory({ workspaceBytes: 48 })
    using storage = other.device.createKvStorage(cache.layout)
    other.device.copyPages({ cache: storage, pages: pairs(2) })
    expect(other.memory.launches[0].args.workspace).toMatchObject({ dtype: 'u8', shape: [48] })
    using pages = other.device.upload(Int32Array.of(0, 1), { shape: [1, 2], dtype: 'i32' })
    // Scratch that may be gone by a replay cannot be in a graph.
    expect(() => other.device.capture(() => other.device.copyPages({ cache: storage, pages }))).toThrow(
      coded('POLYMLA_CAPTURE_ILLEGAL'),
    )
    pages.dispose()
    storage.dispose()
    expectNothingLeft(other)
  })
})
