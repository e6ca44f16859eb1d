import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { kvLayout } from '../kv-cache/formats.js'
import { decodePlan, lastArgs, layout, step } from '../testing/decode-plans.js'
import { integers } from '../testing/memory-stream.js'
import { coded, expectNothingLeft, type OpenMemory, openMemory } from '../testing/open-memory.js'

let open: OpenMemory

beforeEach(async () => {
  open = await openMemory({ workspaceBytes: 64 })
})

afterEach(async () => {
  expectNothingLeft(open)
  await open.device.dispose()
})

describe('run', () => {
  it('launches with what it was given', () => {
    using made = decodePlan(open)
    const { plan, run } = made
    plan.update(step).run(run)
    expect(open.memory.launches[0].problem).toBe(plan.problem)
    expect(lastArgs(open)).toMatchObject({
      batch: 3,
      q: run.q,
      cache: run.cache.tensor,
      out: run.out,
      lse: run.lse,
      descaleQ: 1,
      descaleK: 1,
      workspace: { dtype: 'u8', shape: [64], strides: [1] },
    })
    plan.run({ q: run.q, cache: run.cache, out: run.out })
    expect(lastArgs(open).lse).toBeNull()
  })

  it('takes a q with rows apart', () => {
    using made = decodePlan(open)
    using wide = open.device.empty({ shape: [3, 2, 3, 48], dtype: 'bf16' })
    const q = wide.slice(3, 0, 32)
    made.plan.update(step).run({ ...made.run, q })
    expect(lastArgs(open).q).toBe(q)
  })

  it('takes float tensors alone, as its types say', () => {
    using made = decodePlan(open)
    using q = open.device.empty({ shape: [3, 2, 3, 32], dtype: 'i32' })
    // @ts-expect-error an i32 tensor
    expect(() => made.plan.update(step).run({ ...made.run, q })).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', 'q'),
    )
  })

  it('scales what is e4m3 and nothing else', () => {
    using made = decodePlan(open, { cache: kvLayout({ ...layout, format: 'e4m3' }) })
    made.plan.update(step).run({ ...made.run, descaleQ: 0.5, descaleK: 2 })
    expect(lastArgs(open)).toMatchObject({ descaleQ: 0.5, descaleK: 2 })
    using plain = decodePlan(open)
    plain.plan.update(step).run({ ...plain.run, descaleQ: 1, descaleK: 1 })
    for (const path of ['descaleQ', 'descaleK']) {
      for (const [{ plan, run }, value] of [
        [plain, 2],
        [made, 0],
        [made, Number.NaN],
        [made, '1'],
      ] as const) {
        expect(() => plan.run({ ...run, [path]: value })).toThrow(coded('POLYMLA_INVALID_ARGUMENT', path))
      }
    }
  })

  it('refuses tensors that do not fit, before anything is launched', async () => {
    using made = decodePlan(open)
    const { plan, run } = made
    const { device } = open
    const other = await openMemory()
    plan.update(step)
    const owned: { dispose(): void }[] = []
    const of = (shape: number[], dtype: 'bf16' | 'f16' | 'f32') => {
      const tensor = device.empty({ shape, dtype })
      owned.push(tensor)
      return tensor
    }
    const tensors = {
      q: [of([3, 2, 3, 32], 'f16'), of([2, 2, 3, 32], 'bf16'), of([3, 2, 96], 'bf16')],
      out: [of([3, 2, 3, 16], 'f32'), of([3, 2, 3, 32], 'bf16'), of([3, 2, 3, 32], 'bf16').slice(3, 0, 16)],
      lse: [of([3, 3, 2], 'bf16'), of([3, 2, 3], 'f32'), of([3, 3, 4], 'f32').slice(2, 0, 2)],
    }
    const foreign = other.device.empty({ shape: [3, 2, 3, 32], dtype: 'bf16' })
    const refused: [string, object][] = [
      ...Object.entries(tensors).flatMap(([name, all]) =>
        all.map((tensor): [string, object] => [name, { ...run, [name]: tensor }]),
      ),
      ...['q', 'out'].map((name): [string, object] => [name, { ...run, [name]: null }]),
      ['q', { ...run, q: foreign }],
      ['q', { ...run, q: { ...run.q } }],
      ['lse', { ...run, lse: 5 }],
      ['run.descalek', { ...run, descalek: 2 }],
      ['cache', { ...run, cache: null }],
      ['cache', { ...run, cache: { layout, tensor: run.cache.tensor } }],
      ['cache', { ...run, cache: other.device.createKvStorage(layout) }],
      ['stream', { ...run, stream: other.device.defaultStream }],
    ]
    for (const [path, bad] of refused) {
      expect(() => plan.run(bad as never)).toThrow(
        expect.objectContaining({
          code: 'POLYMLA_INVALID_ARGUMENT',
          path: expect.stringMatching(`^${path}`),
        }),
      )
    }
    for (const [name, change] of Object.entries({ pages: 9, pageSize: 2, headDim: 16, pageStride: 256 })) {
      using cache = device.createKvStorage(
        kvLayout({ ...layout, pageStride: 128 + Number(name === 'pageStride'), [name]: change }),
      )
      expect(() => plan.run({ ...run, cache })).toThrow(coded('POLYMLA_INVALID_ARGUMENT'))
    }
    expect(() => plan.run(undefined as never)).toThrow(coded('POLYMLA_INVALID_ARGUMENT', 'run'))
    expect(open.memory.launches).toEqual([])
    for (const tensor of owned) tensor.dispose()
    await other.device.dispose()
  })

  it('refuses tensors and caches that were disposed', () => {
    using made = decodePlan(open)
    const { plan, run } = made
    plan.update(step)
    for (const name of ['q', 'out', 'lse', 'cache'] as const) {
      run[name].dispose()
      expect(() => plan.run(run)).toThrow(coded('POLYMLA_DISPOSED'))
    }
  })
})

describe('a stale plan', () => {
  it('is one that was never updated', () => {
    using made = decodePlan(open)
    expect(() => made.plan.run(made.run)).toThrow(coded('POLYMLA_PLAN_STALE'))
  })

  it('is one whose cache moved on', () => {
    using made = decodePlan(open)
    const { plan, run } = made
    let moved: string | null = null
    plan.update({ ...step, stale: () => moved })
    plan.run(run)
    moved = 'sequence 0 went from length 9 to 10'
    expect(() => plan.run(run)).toThrow(moved)
    expect(() => plan.run(run)).toThrow(coded('POLYMLA_PLAN_STALE'))
    plan.update(step).run(run)
  })

  it('follows a paged cache', () => {
    const { device } = open
    using cache = device.createKvCache({ ...layout, layers: 1 })
    using made = decodePlan(open, {}, 1)
    const sequence = cache.createSequence()
    cache.append(sequence, 5)
    const run = { ...made.run, cache: cache.layers[0] }
    made.plan.update(cache.batch([sequence])).run(run)
    cache.append(sequence, 1)
    expect(() => made.plan.run(run)).toThrow(coded('POLYMLA_PLAN_STALE'))
    made.plan.update(cache.batch([sequence])).run(run)
    expect(integers(lastArgs(open).seqlens)[0]).toBe(6)
  })

  it('is no disposed one', () => {
    const { plan, run, [Symbol.dispose]: dispose } = decodePlan(open)
    plan.update(step)
    plan.dispose()
    plan[Symbol.dispose]()
    expect(() => plan.run(run)).toThrow(coded('POLYMLA_DISPOSED'))
    expect(() => plan.update(step)).toThrow(coded('POLYMLA_DISPOSED'))
    expect(open.memory.live.plans).toBe(0)
    dispose()
  })
})

describe('streams', () => {
  it('take a plan over from each other in order', () => {
    using made = decodePlan(open)
    const { plan, run } = made
    using first = open.device.stream()
    using second = open.device.stream()
    plan.update(step, { stream: first })
    plan.run({ ...run, stream: first })
    plan.run({ ...run, stream: second })
    plan.run({ ...run, stream: second })
    expect(open.memory.log).toEqual(['upload', 'launch decode', 'wait', 'launch decode', 'launch decode'])
    expect(open.memory.launches.map(({ stream }) => stream)).toEqual([
      first.backend,
      second.backend,
      second.backend,
    ])
  })
})
