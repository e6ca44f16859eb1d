import type { HostArray, Tensor } from '@polymla/core'
import type { Case } from '../cases/case.js'
import { denseCase } from '../cases/dense.js'
import { bytesOf } from '../cases/host-cache.js'
import { mergeCase } from '../cases/merge-states.js'
import { sparseCase } from '../cases/sparse-decode.js'
import { prefillCase } from '../cases/sparse-prefill.js'
import { compareBits } from '../compare.js'

/** Ops that compute leave every input, and the memory around the tokens that they read, as it was. */
export const inputCases: readonly Case[] = [
  denseCase({ batch: 3, keys: 200, lengths: 'varlen', queryTokens: 3, mask: 'tree', tables: 'device' }),
  sparseCase({ topkLength: true, extra: { pageSize: 2, topkLength: true }, sink: 'mixed', heads: 16 }),
  prefillCase({ heads: 16, topkLength: true, sink: true }),
  mergeCase({ heads: 4 }),
].map((inner) => ({
  name: `behaviour/inputs/${inner.name}`,
  problem: inner.problem,
  async run(bench) {
    const inputs: { tensor: Tensor; data: HostArray }[] = []
    const watch = (tensor: Tensor, data: HostArray) => void inputs.push({ tensor, data })
    const comparisons = [...(await inner.run({ ...bench, watch }))]
    for (const [i, { tensor, data }] of inputs.entries()) {
      const found = (await tensor.download()) as HostArray
      comparisons.push(compareBits(`input ${i} afterwards`, bytesOf(data), bytesOf(found)))
    }
    return comparisons
  },
}))
