import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { invalidArgument } from '../errors.js'
import type { KvStorage } from '../kv-cache/storage.js'
import { options } from '../problem/checks.js'
import { copyPagesProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { hostIntegers, type Integers } from './integers.js'
import { launchOnce, opPlan, roundedCapacity } from './op-plans.js'
import { checkIntegers } from './stage-integers.js'
import { checkCache, checkRank } from './tensor-args.js'

export interface CopyPagesInput {
  readonly cache: KvStorage
  /** [pairs, 2] (on the host: flat): from, to. No target twice, and none that is also a source. */
  readonly pages: Integers
  readonly stream?: Stream
}

/** See {@link CopyPagesProblem}. Pairs on the host are checked; one on the device is skipped when outside the cache. */
export function copyPages(context: DeviceContext, input: CopyPagesInput): void {
  const { cache, pages } = options('input', input, ['cache', 'pages', 'stream'])
  const storage = checkCache(context, 'cache', cache)
  const { layout } = cache
  const host = hostIntegers('pages', pages)
  if (!host) checkRank('pages', pages as Tensor, 2)
  const pairs = host ? host.length / 2 : (pages as Tensor).shape[0]
  if (!Number.isInteger(pairs)) throw invalidArgument('pages', 'pairs of from and to', host)
  const stagePages = checkIntegers(context, 'pages', host ?? pages, [pairs, 2], 0, layout.pages - 1)
  if (host) checkDisjoint(host)
  const problem = copyPagesProblem({ maxPairs: roundedCapacity(pairs), cache: layout })
  const stream = context.streamFor(input.stream)
  if (pairs === 0) return

  const plan = opPlan(context, stream, problem)
  using staged = stagePages(stream)
  const args = { pairs, cache: storage, pages: staged.tensor }
  launchOnce(context, stream, plan, args, [storage, staged.tensor])
}

/** The pairs of one launch run in any order, so no page may be written twice or written and read. */
function checkDisjoint(pages: Int32Array): void {
  const targets = new Set<number>()
  for (let i = 1; i < pages.length; i += 2) {
    if (targets.has(pages[i])) throw invalidArgument(`pages[${i}]`, 'a target that occurs once', pages[i])
    targets.add(pages[i])
  }
  for (let i = 0; i < pages.length; i += 2) {
    if (targets.has(pages[i])) {
      throw invalidArgument(
        `pages[${i}]`,
        'a source that is no target',
        pages[i],
        'Copy chains in several calls',
      )
    }
  }
}
