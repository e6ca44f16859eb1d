import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

let open: OpenMemory

beforeEach(async () => {
  open = await openMemory()
})

afterEach(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

function disposing<T extends Record<string, { dispose(): void }>>(input: T) {
  const dispose = () => {
    for (const handle of Object.values(input)) handle.dispose()
  }
  return { input, [Symbol.dispose]: dispose }
}

describe('mergeStates', () => {
  function setup(batch = 2) {
    const { device } = open
    return disposing({
      outs: device.empty({ shape: [3, batch, 1, 4, 16], dtype: 'f32' }),
      lses: device.empty({ shape: [3, batch, 4, 1], dtype: 'f32' }),
      out: device.empty({ shape: [batch, 1, 4, 16], dtype: 'bf16' }),
      lse: device.empty({ shape: [batch, 4, 1], dtype: 'f32' }),
    })
  }

  it('launches with what it was given', () => {
    using made = setup()
    open.device.mergeStates(made.input)
    expect(open.memory.launches).toMatchObject([
      {
        problem: { parts: 3, batch: 2, heads: 4, valueDim: 16, dtype: 'f32', outDtype: 'bf16' },
        args: { ...made.input, workspace: null },
      },
    ])
    const { lse: _, ...input } = made.input
    open.device.mergeStates(input)
    expect(open.memory.launches[1].args).toMatchObject({ lse: null })
  })

  it('takes parts with rows apart', () => {
    using made = setup()
    using outs = open.device.empty({ shape: [3, 2, 1, 4, 32], dtype: 'f32' })
    open.device.mergeStates({ ...made.input, outs: outs.slice(4, 16, 32) })
    expect(open.memory.launches).toHaveLength(1)
  })

  it('of no requests enqueues nothing', () => {
    using made = setup(0)
    open.device.mergeStates(made.input)
    expect(open.memory.log).toEqual([])
  })

  it.each<[string, (input: ReturnType<typeof setup>['input']) => object | null]>([
    ['input', () => null],
    ['input.lsse', ({ lse }) => ({ lsse: lse })],
    ['outs', () => ({ outs: undefined })],
    ['outs', ({ out }) => ({ outs: out })],
    ['out', () => ({ out: 5 })],
    ['out', ({ outs }) => ({ out: outs })],
    ['out', ({ out }) => ({ out: out.view([2, 1, 4, 16], { strides: [64, 64, 8, 1] }) })],
    ['lses', () => ({ lses: null })],
    ['lses', ({ out }) => ({ lses: out })],
    ['lses.shape[0]', ({ lses }) => ({ lses: lses.slice(0, 0, 2).view([2, 2, 4, 1]) })],
    ['lse', ({ lses }) => ({ lse: lses })],
    ['valueDim', ({ outs }) => ({ outs: outs.slice(4, 0, 8) })],
    ['stream', () => ({ stream: null })],
  ])('refuses %s before anything is launched', (path, change) => {
    using made = setup()
    const changes = change(made.input)
    const input = changes && ({ ...made.input, ...changes } as never)
    expect(() => open.device.mergeStates(input as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect(open.memory.log).toEqual([])
  })
})

describe('dtypes', () => {
  it('that hold no numbers, or are no result, are refused', () => {
    const { device } = open
    using bytes = device.empty({ shape: [1, 1, 1, 1, 16], dtype: 'u8' })
    using parts = device.empty({ shape: [1, 1, 1, 1, 16], dtype: 'f32' })
    using lses = device.empty({ shape: [1, 1, 1, 1], dtype: 'f32' })
    const flat = bytes.view([1, 1, 1, 16])
    for (const [path, input] of [
      ['outs.dtype', { outs: bytes, lses, out: flat }],
      ['out.dtype', { outs: parts, lses, out: flat }],
    ] as const) {
      expect(() => device.mergeStates(input as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    }
  })
})

describe('sparsePrefill', () => {
  function setup(queryTokens = 2) {
    const { device } = open
    return disposing({
      q: device.empty({ shape: [queryTokens, 4, 32], dtype: 'bf16' }),
      kv: device.empty({ shape: [7, 1, 32], dtype: 'bf16' }),
      indices: device.empty({ shape: [queryTokens, 1, 5], dtype: 'i32' }),
      topkLength: device.empty({ shape: [queryTokens], dtype: 'i32' }),
      sink: device.empty({ shape: [4], dtype: 'f32' }),
      out: device.empty({ shape: [queryTokens, 4, 16], dtype: 'f32' }),
      maxLogits: device.empty({ shape: [queryTokens, 4], dtype: 'f32' }),
      lse: device.empty({ shape: [queryTokens, 4], dtype: 'f32' }),
    })
  }

  it('launches with what it was given', () => {
    using made = setup()
    open.device.sparsePrefill({ ...made.input, softmaxScale: 0.25 })
    expect(open.memory.launches).toMatchObject([
      {
        problem: {
          ...{ queryTokens: 2, heads: 4, keys: 7, headDim: 32, valueDim: 16, topk: 5, softmaxScale: 0.25 },
          ...{ dtype: 'bf16', outDtype: 'f32', topkLength: true, sink: true },
        },
        args: { ...made.input, workspace: null },
      },
    ])
    const { q, kv, indices, out } = made.input
    open.device.sparsePrefill({ q, kv, indices, out, softmaxScale: 1, sink: null })
    expect(open.memory.launches[1]).toMatchObject({
      problem: { topkLength: false, sink: false },
      args: { topkLength: null, sink: null, maxLogits: null, lse: null },
    })
  })

  it('of no queries enqueues nothing', () => {
    using made = setup(0)
    open.device.sparsePrefill({ ...made.input, softmaxScale: 1 })
    expect(open.memory.log).toEqual([])
  })

  it.each<[string, (input: ReturnType<typeof setup>['input']) => object | null]>([
    ['input', () => null],
    ['input.lsse', ({ lse }) => ({ lsse: lse })],
    ...(['q', 'kv', 'indices', 'out'] as const).map((name): [string, () => object] => [
      name,
      () => ({ [name]: {} }),
    ]),
    ['q', ({ lse }) => ({ q: lse })],
    ['kv.shape[2]', ({ kv }) => ({ kv: kv.slice(2, 0, 16) })],
    ['kv.shape[1]', ({ q }) => ({ kv: q })],
    ['indices', ({ indices }) => ({ indices: indices.view([2, 1, 2], { strides: [5, 5, 1] }) })],
    ['indices', ({ q }) => ({ indices: q })],
    ['valueDim', ({ out }) => ({ out: out.slice(2, 0, 8) })],
    ['out.shape[0]', ({ out }) => ({ out: out.slice(0, 0, 1) })],
    ['maxLogits', ({ sink }) => ({ maxLogits: sink })],
    ['lse', () => ({ lse: 'yes' })],
    ['topkLength', ({ sink }) => ({ topkLength: sink })],
    ['sink', () => ({ sink: 1 })],
    ['softmaxScale', () => ({ softmaxScale: undefined })],
    ['softmaxScale', () => ({ softmaxScale: Number.NaN })],
    ['stream', () => ({ stream: 7 })],
  ])('refuses %s before anything is launched', (path, change) => {
    using made = setup()
    const changes = change(made.input)
    const input = changes && ({ ...made.input, softmaxScale: 1, ...changes } as never)
    expect(() => open.device.sparsePrefill(input as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
    expect(open.memory.log).toEqual([])
  })

  it('refuses disposed tensors and those of another device', async () => {
    using made = setup()
    const other = await openMemory()
    const kv = other.device.empty({ shape: [7, 1, 32], dtype: 'bf16' })
    expect(() => open.device.sparsePrefill({ ...made.input, kv, softmaxScale: 1 })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'kv'),
    )
    made.input.kv.dispose()
    expect(() => open.device.sparsePrefill({ ...made.input, softmaxScale: 1 })).toThrow(
      coded('POLYMLA_DISPOSED'),
    )
  })
})
