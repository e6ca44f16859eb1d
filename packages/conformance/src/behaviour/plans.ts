import type { Case } from '../cases/case.js'
import { singleRequest } from '../cases/dense.js'
import type { DenseInputs } from '../oracle/dense.js'
import { behaviourCase, expectError, expectRight, expectSame, LONG } from './workload.js'

/** The same inputs with other lengths, none longer. */
export function shorter(inputs: DenseInputs): DenseInputs {
  return { ...inputs, lengths: inputs.lengths.map((length) => Math.ceil(length / 3)) }
}

export const planCases: readonly Case[] = [
  behaviourCase('plans/stale', async (_, work) => {
    const rig = work.rig()
    await expectError('run before update', 'POLYMLA_PLAN_STALE', () => rig.run())
    const { lengths: seqlens, blockTable } = rig.inputs
    let moved: string | null = null
    rig.plan.update({ seqlens, blockTable, stale: () => moved })
    rig.run()
    moved = 'a request was appended to'
    await expectError('run after lengths moved', 'POLYMLA_PLAN_STALE', () => rig.run())
    await expectRight(rig, rig.results(), 'the run before lengths moved')
    rig.update()
    rig.poisonOutputs()
    rig.run()
    await expectRight(rig, rig.results(), 'the run after another update')
  }),
  behaviourCase('plans/failed-update', async (_, work) => {
    const rig = work.rig()
    rig.update()
    const { lengths, blockTable, width, problem } = rig.inputs
    const outside = blockTable.slice()
    outside[(lengths.length - 1) * width] = problem.cache.pages
    await expectError(
      'update with a page id outside the cache inside a length',
      'POLYMLA_INVALID_ARGUMENT',
      () => rig.plan.update({ seqlens: lengths, blockTable: outside }),
      `blockTable[${(lengths.length - 1) * width}]`,
    )
    await expectError('update with a negative length', 'POLYMLA_INVALID_ARGUMENT', () =>
      rig.plan.update({ seqlens: lengths.map(() => -1), blockTable }),
    )
    rig.run()
    await expectRight(rig, rig.results(), 'a run after updates that were refused')
  }),
  behaviourCase('plans/host-arrays-are-free', async (_, work) => {
    const rig = work.rig()
    const seqlens = rig.inputs.lengths.slice()
    const blockTable = rig.inputs.blockTable.slice()
    rig.plan.update({ seqlens, blockTable })
    seqlens.fill(1)
    blockTable.fill(-1)
    rig.run()
    await expectRight(rig)
  }),
  behaviourCase(
    'plans/race-on-reuse',
    async (_, work) => {
      // Two layers' worth of work lies between each update and the next: none may see the wrong lengths.
      const inputs = work.inputs()
      const rig = work.rig(inputs)
      const steps = [inputs, shorter(inputs), inputs, shorter(shorter(inputs))]
      const found = await Promise.all(
        steps.map(({ lengths: seqlens, blockTable }) => {
          rig.plan.update({ seqlens, blockTable })
          rig.poisonOutputs()
          for (let layer = 0; layer < 3; layer++) rig.run()
          return rig.results()
        }),
      )
      for (const [i, step] of steps.entries()) {
        await expectRight(work.rig(step), found[i], `step ${i} of four that were enqueued at once`)
      }
    },
    LONG,
  ),
  behaviourCase('plans/smaller-batch', async (_, work) => {
    const inputs = work.inputs()
    const rig = work.rig(inputs)
    rig.update()
    rig.run()
    const first = await rig.results()
    const single = work.rig(singleRequest(inputs, 1))
    single.update()
    single.run()
    await expectRight(single, single.results(), 'one request in a plan of three')
    rig.plan.update({ seqlens: [], blockTable: [] })
    rig.update()
    rig.poisonOutputs()
    rig.run()
    expectSame(first, await rig.results(), 'the full batch again')
  }),
]
