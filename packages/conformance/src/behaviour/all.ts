import type { Case } from '../cases/case.js'
import { determinismCases } from './determinism.js'
import { disposalCases } from './disposal.js'
import { errorCases } from './errors.js'
import { eventCases } from './events.js'
import { graphCases } from './graphs.js'
import { inputCases } from './inputs.js'
import { planCases } from './plans.js'
import { scheduleCases } from './schedule.js'
import { streamCases } from './streams.js'

/** Everything that is no result of an op: the same cases in every grid. */
export const behaviourCases: readonly Case[] = [
  ...streamCases,
  ...eventCases,
  ...planCases,
  ...graphCases,
  ...determinismCases,
  ...inputCases,
  ...scheduleCases,
  ...disposalCases,
  ...errorCases,
]
