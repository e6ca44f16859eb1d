import { computeSchedule, type ScheduleArgs } from '@polymla/core'
import { integers } from '../view.js'
import type { Kernel } from './kernel.js'
import { givenLengths, type SplitProblem } from './splits.js'

/** Core's schedule, from lengths on the device. One unit: it is a walk over the batch. */
export const schedule: Kernel<SplitProblem, ScheduleArgs> = [
  {
    units: () => 1,
    run(problem, args) {
      const lengths = givenLengths(problem, args.batch, args.lengths, args.extraLengths)
      computeSchedule(lengths, args.batch, args, integers(args.schedule), integers(args.numSplits))
    },
  },
]
