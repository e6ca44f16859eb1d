import type { MergeStatesArgs, MergeStatesProblem } from '@polymla/core'
import { vector } from '../view.js'
import { combine } from './combine.js'
import type { Kernel } from './kernel.js'
import { publicLse, readRow, writeRow } from './rows.js'

/** See `MergeStatesProblem`. A unit is all heads of one query token. */
export const mergeStates: Kernel<MergeStatesProblem, MergeStatesArgs> = [
  {
    units: ({ batch, queryTokens }) => batch * queryTokens,

    run({ parts, queryTokens, heads, valueDim }, args, unit) {
      const request = Math.floor(unit / queryTokens)
      const s = unit % queryTokens
      const lses = new Float64Array(parts)
      const weights = new Float64Array(parts)
      const part = new Float64Array(valueDim)
      const values = new Float64Array(valueDim)
      for (let head = 0; head < heads; head++) {
        for (let p = 0; p < parts; p++) {
          const lse = vector(args.lses, p, request, head)[s]
          lses[p] = Number.isFinite(lse) ? lse : Number.NEGATIVE_INFINITY
        }
        const lse = combine(lses, weights)
        values.fill(0)
        for (let p = 0; p < parts; p++) {
          if (lses[p] === Number.NEGATIVE_INFINITY) continue
          readRow(args.outs, part, 0, p, request, s, head)
          for (let d = 0; d < valueDim; d++) values[d] += weights[p] * part[d]
        }
        writeRow(args.out, values, request, s, head)
        if (args.lse) vector(args.lse, request, head)[s] = publicLse(lse)
      }
    },
  },
]
