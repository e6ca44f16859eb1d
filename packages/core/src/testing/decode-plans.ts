import { kvLayout } from '../kv-cache/formats.js'
import type { DecodeOptions } from '../problem/index.js'
import type { Launch } from './memory-backend.js'
import type { OpenMemory } from './open-memory.js'

export const layout = kvLayout({ format: 'bf16', pages: 10, pageSize: 4, headDim: 32 })

/** Three requests over the cache of {@link decodePlan}; what lies past a length is garbage. */
export const step = { seqlens: [9, 0, 4], blockTable: [1, 2, 3, 99, 99, 99, 7, 99, 99] }

/** A plan for up to 4 requests of 2 query tokens and 3 heads, and one layer's tensors to run it with. */
export function decodePlan({ device }: OpenMemory, changes: Partial<DecodeOptions> = {}, batch = 3) {
  const plan = device.planDecode({
    maxBatch: 4,
    queryTokens: 2,
    heads: 3,
    valueDim: 16,
    cache: layout,
    blockTableWidth: 5,
    softmaxScale: 0.5,
    ...changes,
  })
  const { dtype, outDtype } = plan.problem
  const run = {
    q: device.empty({ shape: [batch, 2, 3, 32], dtype }),
    cache: device.createKvStorage(plan.problem.cache),
    out: device.empty({ shape: [batch, 2, 3, 16], dtype: outDtype }),
    lse: device.empty({ shape: [batch, 3, 2], dtype: 'f32' }),
  }
  const dispose = () => {
    for (const handle of [plan, ...Object.values(run)]) handle.dispose()
  }
  return { plan, run, [Symbol.dispose]: dispose }
}

/** The arguments of the last launch. */
export function lastArgs({ memory }: OpenMemory): Launch<'decode'>['args'] {
  return memory.launches[memory.launches.length - 1].args as Launch<'decode'>['args']
}
