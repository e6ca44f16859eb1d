import type { AppendKvArgs, AppendKvProblem } from '@polymla/core'
import { type View, vector } from '../view.js'
import type { Kernel } from './kernel.js'
import { PagedKeys } from './paged-keys.js'
import { readRow } from './rows.js'

const TOKENS_PER_UNIT = 64

/** See `AppendKvProblem`. A token whose position is outside the rotary table is skipped, as for a slot outside the cache. */
export const appendKv: Kernel<AppendKvProblem, AppendKvArgs> = [
  {
    units: (_, { tokens }) => Math.ceil(tokens / TOKENS_PER_UNIT),

    run(problem, args, unit) {
      const { ropeDim, rotary, tableLength } = problem
      const { headsKv, headDim } = problem.cache
      const cache = new PagedKeys(problem.cache, args.cache, args.descaleK)
      const slots = vector(args.slots)
      const positions = args.positions && vector(args.positions)
      const latentDim = headDim - ropeDim
      const key = new Float64Array(headDim)
      const end = Math.min((unit + 1) * TOKENS_PER_UNIT, args.tokens)
      for (let token = unit * TOKENS_PER_UNIT; token < end; token++) {
        const position = positions ? positions[token] : 0
        if (!cache.hasToken(slots[token])) continue
        if (positions && (position < 0 || position >= tableLength)) continue
        for (let head = 0; head < headsKv; head++) {
          readRow(args.latent, key, 0, token, head)
          if (args.ropeKey) readRow(args.ropeKey, key, latentDim, token, head)
          if (rotary !== 'none') {
            rotate(key.subarray(latentDim), rotary, vector(args.rotaryTable as View, position))
          }
          cache.writeToken(slots[token], head, key)
        }
      }
    },
  },
]

/** Turns each pair (x, y) by its angle: (x·c − y·s, y·c + x·s). `row` holds all cosines, then all sines. */
function rotate(key: Float64Array, style: 'interleaved' | 'neox', row: ArrayLike<number>): void {
  const pairs = key.length / 2
  for (let i = 0; i < pairs; i++) {
    const at = style === 'interleaved' ? 2 * i : i
    const to = style === 'interleaved' ? 2 * i + 1 : i + pairs
    const x = key[at]
    const y = key[to]
    const c = row[i]
    const s = row[pairs + i]
    key[at] = x * c - y * s
    key[to] = y * c + x * s
  }
}
