import {
  computeSchedule,
  decodeProblem,
  kvLayout,
  SCHEDULE_STRIDE,
  sparseDecodeProblem,
  sparseLengths,
} from '@polymla/core'
import { expect, it } from 'vitest'
import { integers } from '../view.js'
import { runKernel, tensor } from './kernel.fixtures.js'
import { schedule } from './schedule.js'
import { costModel, type SplitProblem, workPageSize } from './splits.js'

const load = { batch: 3, totalPages: 9, maxPages: 5 }

/** The kernel's schedule from lengths on the device, and core's from `wanted`. */
function both(
  problem: SplitProblem,
  lengths: number[] | null,
  extraLengths: number[] | null,
  wanted: Int32Array,
) {
  const params = {
    ...costModel.choose(load),
    pageSize: workPageSize(problem),
    splitPages: problem.splitPages,
  }
  const args = {
    batch: 3,
    lengths: lengths && tensor('i32', [3], lengths),
    extraLengths: extraLengths && tensor('i32', [3], extraLengths),
    ...params,
    schedule: tensor('i32', [costModel.maxPartitions, SCHEDULE_STRIDE]),
    numSplits: tensor('i32', [4]),
  }
  runKernel(schedule, problem, args)
  const rows = new Int32Array(costModel.maxPartitions * SCHEDULE_STRIDE)
  const numSplits = new Int32Array(4)
  computeSchedule(wanted, 3, params, rows, numSplits)
  return [
    [integers(args.schedule), integers(args.numSplits)],
    [rows, numSplits],
  ]
}

const cache = kvLayout({ format: 'bf16', pages: 9, pageSize: 16 })

it.each([0, 2])(
  'is that of core for decode, lengths clamped to the block table (splitPages %i)',
  (splitPages) => {
    const problem = decodeProblem({
      maxBatch: 3,
      heads: 1,
      cache,
      blockTableWidth: 20,
      softmaxScale: 1,
      splitPages,
    })
    const [found, wanted] = both(problem, [300, -2, 1000], null, Int32Array.of(300, 0, 320))
    expect(found).toEqual(wanted)
  },
)

it('is that of core for sparse decode, whose lengths may be on the device or follow from the problem', () => {
  const common = { maxBatch: 3, heads: 1, cache, topk: 200, softmaxScale: 1 }
  const lengths = new Int32Array(3)
  const problem = sparseDecodeProblem({
    ...common,
    topkLength: true,
    extra: { cache, topk: 70, topkLength: true },
  })
  const topkLength = Int32Array.of(3, 200, 0)
  const extraTopkLength = Int32Array.of(70, 0, 1)
  sparseLengths({ batch: 3, topk: 200, topkLength, extraTopk: 70, extraTopkLength }, 64, lengths)
  const [found, wanted] = both(problem, [3, 999, -1], [70, -9, 1], lengths)
  expect(found).toEqual(wanted)

  const fixed = sparseDecodeProblem(common)
  const [foundFixed, wantedFixed] = both(fixed, null, null, new Int32Array(3).fill(200))
  expect(foundFixed).toEqual(wantedFixed)
})
