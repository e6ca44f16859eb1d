import { reference } from '@polymla/backend-reference'
import { type Backend, createRuntime, PolymlaError, type Problem } from '@polymla/core'
import { describe, expect, test } from 'vitest'
import { type Case, CaseSkipped, ConformanceFailure } from './cases/case.js'
import { compare } from './compare.js'
import { casesOf } from './grids/grids.js'
import type { ConformanceReport } from './report.js'
import { listCases, runConformance, runConformanceOnAll } from './run-conformance.js'
import { Session, SharedData } from './session.js'
import { faultyBackend } from './testing/faulty-backend.js'

const NAME = 'dense/bf16/b2-s1-k140-h16-kv1-varlen'

/** The reference, with other answers to supports(). */
function answering(answer: (problem: Problem) => unknown): Backend {
  const inner = reference()
  return {
    ...inner,
    async open(info) {
      const device = await inner.open(info)
      device.supports = answer as typeof device.supports
      return device
    },
  }
}

async function outcome(backend: Backend, testCase: Case) {
  const session = await Session.open(backend)
  try {
    return await session.run(testCase)
  } finally {
    await session.close()
  }
}

const plainCase = (run: Case['run']): Case => ({ name: 'plain', problem: () => null, run })

describe('runConformance', () => {
  test('reports plain data, grouped', async () => {
    const refuse = (problem: Problem) =>
      problem.op === 'mergeStates'
        ? 'mergeStates is not there yet'
        : problem.op === 'copyPages'
          ? 'no copies here'
          : true
    const progress: string[] = []
    const report = await runConformance({
      backend: answering(refuse),
      grid: 'smoke',
      seed: 5,
      filter: /^(merge|copy)|b2-s1-k140-h16-kv1-varlen$/,
      onProgress: ({ name }, done, total) => progress.push(`${done}/${total} ${name}`),
    })
    expect(report).toMatchObject({
      apiVersion: 1,
      device: { id: 'reference' },
      grid: 'smoke',
      seed: 5,
      // A copy of nothing asks no device.
      passed: 2,
      failed: 0,
      skipped: 6,
      skipReasons: [
        { reason: 'mergeStates is not there yet', cases: 4 },
        { reason: 'no copies here', cases: 2 },
      ],
    })
    expect(progress[0]).toBe(`1/8 ${NAME}`)
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  test('a device that is handed in stays open', async () => {
    await using device = await createRuntime({ backends: [reference()] }).selectDevice('reference')
    const { passed, skipped } = await runConformance({ backend: device, grid: 'smoke', filter: 'disposal' })
    expect([passed, skipped]).toEqual([3, 2])
    expect(device.disposed).toBe(false)
  })

  test('a signal ends the run', async () => {
    const controller = new AbortController()
    const running = runConformance({
      backend: () => createRuntime({ backends: [reference()] }).selectDevice('reference'),
      grid: 'smoke',
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(running).rejects.toThrow('enough')
  })

  test('lists names in the order they run', () => {
    expect(listCases('smoke')).toEqual(casesOf('smoke').map(({ name }) => name))
  })
})

describe('runConformanceOnAll', () => {
  // One of each op; a small budget leaves the choice of rows to chance.
  const filter = /^(dense.*varlen$|sparse|prefill|append|merge|copy)/
  const run = { grid: 'smoke', seed: 3, budget: 1e5, filter } as const
  const untimed = ({ cases }: ConformanceReport) => cases.map(({ milliseconds: _, ...found }) => found)

  test('every device is compared as if it were alone', async () => {
    const alone = await runConformance({ ...run, backend: reference() })
    const refusing = answering(() => 'nothing is supported')
    const backends = [refusing, reference(), faultyBackend(reference(), 'base-2 LSE'), reference()]
    const progress: number[] = []
    const [refused, first, wrong, last] = await runConformanceOnAll({
      ...run,
      targets: backends.map((backend) => ({ backend })),
      onProgress: (_, done, total) => progress.push(done / total),
    })
    expect(alone.failed).toBe(0)
    expect(refused.skipped).toBeGreaterThan(0)
    expect(wrong.failed).toBeGreaterThan(0)
    expect(untimed(first)).toEqual(untimed(alone))
    expect(untimed(last)).toEqual(untimed(alone))
    expect(progress).toHaveLength(4 * alone.cases.length)
    expect(progress.at(-1)).toBe(1)
  })

  test('what is shared is computed once', async () => {
    let made = 0
    const shared = new SharedData(
      0,
      plainCase(async () => []),
    )
    const session = await Session.open(reference())
    const testCase = plainCase(async (bench) => {
      bench.shared('numbers', (random) => [++made, random.bits()])
      return []
    })
    for (let i = 0; i < 3; i++) await session.run(testCase, shared)
    await session.close()
    expect(made).toBe(1)
  })

  test('asks for a device', async () => {
    await expect(runConformanceOnAll({ ...run, targets: [] })).rejects.toThrow(
      'targets: expected at least one',
    )
  })
})

describe('a session tells', () => {
  test.each<[string, Case['run'], string, string | null]>([
    ['a pass', async () => [compare('x', [1], [1], { absolute: 1, relative: 1 })], 'passed', null],
    [
      'a comparison that fails',
      async () => [compare('x', [1], [5], { absolute: 1, relative: 1 })],
      'failed',
      'x: 1 of 1 elements out of bounds, the worst at [0]: expected 1, found 5',
    ],
    [
      'a broken rule',
      async () => {
        throw new ConformanceFailure('it did')
      },
      'failed',
      'it did',
    ],
    [
      'a case that does not apply',
      async () => {
        throw new CaseSkipped('not here')
      },
      'skipped',
      'not here',
    ],
    [
      'an unexpected error',
      async () => {
        throw new RangeError('oops')
      },
      'failed',
      'RangeError: oops',
    ],
  ])('%s', async (_, run, status, message) => {
    expect(await outcome(reference(), plainCase(run))).toMatchObject({ status, message })
  })

  test('what a case owns is disposed, and the next case runs after an unexpected error', async () => {
    const session = await Session.open(reference())
    await session.run(
      plainCase(async ({ own, device }) => {
        own(device.empty({ shape: [1000], dtype: 'f32' }))
        throw new RangeError('oops')
      }),
    )
    expect(session.device.memory().liveBytes).toBe(0)
    const testCase = casesOf('smoke').find(({ name }) => name === NAME) as Case
    expect(await session.run(testCase)).toMatchObject({ status: 'passed' })
    await session.close()
    expect(session.device.disposed).toBe(true)
  })
})

describe('strides, of which no problem tells', () => {
  const strided = casesOf('standard').find(({ name }) => /^merge.*strided/.test(name)) as Case
  const contiguous = casesOf('smoke').find(({ name }) => /^merge(?!.*strided)/.test(name)) as Case
  const refusing = (message: string): Backend => {
    const inner = reference()
    return {
      ...inner,
      async open(info) {
        const device = await inner.open(info)
        const prepare = device.prepare.bind(device)
        device.prepare = (problem) =>
          Object.assign(Object.create(prepare(problem)), {
            launch() {
              throw new PolymlaError('POLYMLA_UNSUPPORTED', message)
            },
          })
        return device
      },
    }
  }
  const sentence = 'outs.strides: only contiguous parts can be merged'

  test.each([
    ['may be refused at the launch, with the reason', strided, sentence, 'skipped'],
    ['are no reason where there are none', contiguous, sentence, 'failed'],
    ['do not excuse another refusal', strided, 'heads: at most 4', 'failed'],
  ])('%s', async (_, testCase, message, status) => {
    const found = await outcome(refusing(message), testCase)
    expect(found).toMatchObject({ status, message: expect.stringContaining(message) })
  })
})

describe('supports() must be honest', () => {
  const append = casesOf('smoke').find(({ name }) => name.startsWith('append/')) as Case
  const dense = casesOf('smoke').find(({ name }) => name === NAME) as Case
  test.each(['', 'no', 'unsupported', undefined, false, 3])('%j is no reason', async (answer) => {
    const found = await outcome(
      answering(() => answer),
      dense,
    )
    expect(found.status).toBe('failed')
    expect(found.message).toContain('expected true or a sentence')
  })

  test.each([dense, append])('$name is skipped with the reason', async (testCase) => {
    const found = await outcome(
      answering(() => 'heads must be even'),
      testCase,
    )
    expect(found).toMatchObject({ status: 'skipped', message: 'heads must be even' })
  })

  test.each([dense, append])(
    '$name: a refusal that planning does not repeat is a failure',
    async (testCase) => {
      let asked = 0
      const found = await outcome(
        answering(() => (asked++ === 0 ? 'heads must be even' : true)),
        testCase,
      )
      expect(found.status).toBe('failed')
      expect(found.message).toContain('but the problem could be run')
    },
  )
})
