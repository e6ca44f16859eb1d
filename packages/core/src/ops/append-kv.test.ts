import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KvFormat } from '../kv-cache/formats.js'
import type { Launch } from '../testing/memory-backend.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'
import type { AppendKvInput } from './append-kv.js'

let open: OpenMemory

beforeEach(async () => {
  open = await openMemory()
})

afterEach(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

/** Five tokens of 16 numbers for 8 slots, of which the last 4 are rotated. */
function setup(format: KvFormat = 'bf16') {
  const { device } = open
  const made = {
    latent: device.empty({ shape: [5, 1, 12], dtype: 'f32' }),
    ropeKey: device.empty({ shape: [5, 1, 4], dtype: 'f32' }),
    cache: device.createKvStorage({ format, pages: 4, pageSize: 2, headDim: 16 }),
    table: device.empty({ shape: [10, 4], dtype: 'f32' }),
  }
  const { table, ...input } = made
  const rotary = { style: 'neox', table, positions: [0, 1, 2, 3, 9] } as const
  const dispose = () => {
    for (const handle of Object.values(made)) handle.dispose()
  }
  return { input: { ...input, slots: [0, -1, 7, 3, 1] }, rotary, [Symbol.dispose]: dispose }
}

/** Reads the staged integers as the launch sees them: their memory is given back once it is enqueued. */
function recordStaged(): number[][] {
  const seen: number[][] = []
  const { memory } = open
  const push = memory.launches.push.bind(memory.launches)
  memory.launches.push = (launch: Launch) => {
    const { slots, positions } = launch.args as Launch<'appendKv'>['args']
    seen.push([...integers(slots)], positions ? [...integers(positions)] : [])
    return push(launch)
  }
  return seen
}

describe('appendKv', () => {
  it('launches with slots and positions brought from the host', () => {
    using made = setup()
    const { input, rotary } = made
    const staged = recordStaged()
    open.device.appendKv({ ...input, rotary })
    const [{ problem, args }] = open.memory.launches
    expect(problem).toMatchObject({
      op: 'appendKv',
      maxTokens: 8,
      ropeDim: 4,
      rotary: 'neox',
      tableLength: 10,
    })
    expect(args).toMatchObject({
      tokens: 5,
      latent: input.latent,
      ropeKey: input.ropeKey,
      rotaryTable: rotary.table,
      cache: input.cache.tensor,
      descaleK: 1,
      workspace: null,
    })
    expect(staged).toEqual([
      [0, -1, 7, 3, 1],
      [0, 1, 2, 3, 9],
    ])
    expect(open.memory.log).toEqual(['upload', 'upload', 'launch appendKv'])
    expect(open.device.memory().handles.tensor).toBe(4)
  })

  it('launches with integers that lie on the device as they are', () => {
    using made = setup()
    using slots = open.device.upload(Int32Array.of(99, -5, 0, 1, 2), { shape: [5], dtype: 'i32' })
    using positions = open.device.upload(new Int32Array(5), { shape: [5], dtype: 'i32' })
    open.device.appendKv({ ...made.input, slots, rotary: { ...made.rotary, positions } })
    expect(open.memory.launches[0].args).toMatchObject({ slots, positions })
    expect(slots.disposed).toBe(false)
  })

  it('needs no rotary part', () => {
    using made = setup('e4m3')
    using latent = open.device.empty({ shape: [5, 1, 16], dtype: 'f32' })
    const { cache, slots } = made.input
    open.device.appendKv({ latent, cache, slots, ropeKey: null, rotary: null, descaleK: 2 })
    expect(open.memory.launches[0]).toMatchObject({
      problem: { ropeDim: 0, rotary: 'none', tableLength: 0 },
      args: { ropeKey: null, rotaryTable: null, positions: null, descaleK: 2 },
    })
  })

  it('of no tokens enqueues nothing', () => {
    using made = setup()
    using latent = open.device.empty({ shape: [0, 1, 16], dtype: 'bf16' })
    open.device.appendKv({ latent, cache: made.input.cache, slots: [] })
    expect(open.memory.log).toEqual([])
  })

  it.each<[string, (made: ReturnType<typeof setup>) => object]>([
    ['input', () => null as never],
    ['input.rotery', ({ rotary }) => ({ rotery: rotary })],
    ['latent', () => ({ latent: 5 })],
    ['latent', ({ input }) => ({ latent: input.cache.tensor })],
    ['latent.shape[2]', ({ input }) => ({ latent: input.ropeKey })],
    ['ropeKey', () => ({ ropeKey: {} })],
    ['ropeKey', ({ input }) => ({ ropeKey: input.ropeKey.view([5, 4]) })],
    ['ropeKey.shape[0]', ({ input }) => ({ ropeKey: input.ropeKey.slice(0, 0, 4) })],
    ['ropeDim', ({ input }) => ({ ropeKey: input.ropeKey.slice(2, 0, 3) })],
    ['cache', () => ({ cache: {} })],
    ['slots', () => ({ slots: [0, 1, 2, 3] })],
    ['slots', () => ({ slots: 'none' })],
    ['slots[0]', () => ({ slots: [8, 1, 2, 3, 4] })],
    ['slots[1]', () => ({ slots: [0, -2, 2, 3, 4] })],
    ['slots[4]', () => ({ slots: [0, 1, 2, 3, Symbol('4')] })],
    ['slots', ({ input }) => ({ slots: input.latent })],
    ['rotary', () => ({ rotary: true })],
    ['rotary.stile', ({ rotary }) => ({ rotary: { ...rotary, stile: 'neox' } })],
    ['rotary.table', () => ({ rotary: {} })],
    ['rotary.table', ({ input, rotary }) => ({ rotary: { ...rotary, table: input.latent } })],
    ['rotary.style', ({ rotary }) => ({ rotary: { ...rotary, style: 'none' } })],
    ['rotary', ({ rotary }) => ({ ropeKey: null, rotary })],
    [
      'rotary.table.shape[1]',
      ({ rotary }) => ({ rotary: { ...rotary, table: rotary.table.slice(1, 0, 2) } }),
    ],
    ['rotary.positions[4]', ({ rotary }) => ({ rotary: { ...rotary, positions: [0, 0, 0, 0, 10] } })],
    ['rotary.positions', ({ rotary }) => ({ rotary: { ...rotary, positions: undefined } })],
    ['descaleK', () => ({ descaleK: 2 })],
    ['stream', () => ({ stream: {} })],
  ])('refuses %s before anything is written', (path, change) => {
    using made = setup()
    const changes = change(made)
    const input = changes && ({ ...made.input, rotary: made.rotary, ...changes } as AppendKvInput)
    expect(() => open.device.appendKv(input)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect(open.memory.log).toEqual([])
  })

  it('refuses a dtype that it cannot convert from', () => {
    using made = setup()
    using latent = open.device.empty({ shape: [5, 1, 16], dtype: 'e4m3' })
    expect(() => open.device.appendKv({ ...made.input, latent, ropeKey: null })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'latent.dtype'),
    )
  })

  it('leaves no staging behind when it fails', () => {
    using made = setup()
    const { input, rotary } = made
    const { options } = open.memory
    options.supports = () => 'no rotary'
    expect(() => open.device.appendKv({ ...input, rotary })).toThrow(coded('POLYMLA_UNSUPPORTED'))
    expect(open.memory.log).toEqual([])
    options.supports = () => true
    // Room for the slots, but neither for positions nor scratch.
    options.allocations = 5
    expect(() => open.device.appendKv({ ...input, rotary })).toThrow(coded('POLYMLA_OUT_OF_MEMORY'))
    options.allocations = Number.POSITIVE_INFINITY
    options.failures = { upload: new Error('lost') }
    expect(() => open.device.appendKv({ ...input, rotary })).toThrow('lost')
    expect(open.device.memory().handles.tensor).toBe(4)
    expect(open.memory.launches).toEqual([])
  })
})
