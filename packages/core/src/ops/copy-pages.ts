import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { invalidArgument } from '../errors.js'
import type { KvStorage } from '../kv-cache/storage.js'
import { copyPagesProblem } from '../problem/index.js'
import { Tensor } from '../tensor/tensor.js'
import type { Integers } from './integers.js'
import { launchOnce, roundedCapacity } from './op-plans.js'
import { stageIntegers } from './stage-integers.js'
import { checkCache } from './tensor-args.js'

export interface CopyPagesInput {
  readonly cache: KvStorage
  /** [pairs, 2] (on the host: flat): from, to. No target twice, and none that is also a source. */
  readonly pages: Integers
  readonly stream?: Stream
}

/** See {@link CopyPagesProblem}. Pairs on the host are checked; one on the device is skipped when outside the cache. */
export function copyPages(context: DeviceContext, input: CopyPagesInput): void {
  const { cache, pages, stream } = input
  if (!cache?.layout) throw invalidArgument('cache', 'the storage of a KV cache', cache)
  const storage = checkCache(context, 'cache', cache, cache.layout)
  const pairs = pages instanceof Tensor ? pages.shape[0] : pages.length / 2
  if (!Number.isInteger(pairs)) throw invalidArgument('pages', 'pairs of from and to', pages)
  if (!(pages instanceof Tensor)) checkDisjoint(pages)
  using staged = stageIntegers(context, 'pages', pages, [pairs, 2], 0, cache.layout.pages - 1, stream)
  if (pairs === 0) return
  const problem = copyPagesProblem({ maxPairs: roundedCapacity(pairs), cache: cache.layout })
  launchOnce(context, stream, problem, { pairs, cache: storage, pages: staged.tensor }, [
    storage,
    staged.tensor,
  ])
}

/** The pairs of one launch run in any order, so no page may be written twice or written and read. */
function checkDisjoint(pages: Int32Array | readonly number[]): void {
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
