import type { CopyPagesArgs, CopyPagesProblem } from '@polymla/core'
import { vector } from '../view.js'
import type { Kernel } from './kernel.js'
import { PagedKeys } from './paged-keys.js'

/** See `CopyPagesProblem`. A unit is one pair. */
export const copyPages: Kernel<CopyPagesProblem, CopyPagesArgs> = [
  {
    units: (_, { pairs }) => pairs,

    run(problem, args, unit) {
      const cache = new PagedKeys(problem.cache, args.cache)
      const [from, to] = vector(args.pages, unit)
      if (cache.has(from) && cache.has(to)) cache.page(to).set(cache.page(from))
    },
  },
]
