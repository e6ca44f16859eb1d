import {
  decodeProblem,
  itemSize,
  type KvFormat,
  type KvLayout,
  kvLayout,
  pageLength,
  type SparseDecodeProblem,
  sparseDecodeProblem,
  storageDType,
  storageLength,
} from '@polymla/core'
import { denseOracle } from '../oracle/dense.js'
import { chooseRows } from '../oracle/rows.js'
import { type Bench, type Case, CaseSkipped, check } from './case.js'
import { checkRows } from './check-rows.js'
import { DenseRig, denseTolerance } from './dense.js'
import { denseInputs, denseShape } from './dense-data.js'
import { denseSpec } from './dense-spec.js'

/** Caches of more than 2^31 elements that are described and planned for, but not allocated. */
export function describedCases(): Case[] {
  const described = (format: KvFormat, pages: number, pageStride?: number): Case => {
    const layout = kvLayout({ format, pages, pageStride })
    const { headDim } = layout
    const name = `${format}/p${pages}${pageStride === undefined ? '' : `-stride${pageStride}`}`
    const problem = decodeProblem({
      maxBatch: 4,
      heads: 16,
      cache: layout,
      blockTableWidth: 16,
      softmaxScale: headDim ** -0.5,
    })
    return {
      name: `described/dense/${name}`,
      problem: () => problem,
      async run({ device, own }) {
        checkLength(layout)
        const { op: _, ...options } = problem
        own(device.planDecode(options))
        return []
      },
    }
  }
  return [
    described('bf16', 60_000),
    described('bf16', 2 ** 21),
    described('bf16', 3, 2 ** 31),
    described('e4m3', 2 ** 17),
    described('fp8-656', 2 ** 20),
    describedSparse('fp8-656'),
    describedSparse('fp8-584'),
  ]
}

/** A cache whose last token has the largest index there is. */
function describedSparse(format: KvFormat): Case {
  const layout = kvLayout({ format, pages: 2 ** 25 })
  const problem: SparseDecodeProblem = sparseDecodeProblem({
    maxBatch: 4,
    heads: 64,
    cache: layout,
    topk: 2048,
    softmaxScale: layout.headDim ** -0.5,
  })
  return {
    name: `described/sparse/${format}/p${layout.pages}`,
    problem: () => problem,
    async run({ device, own }) {
      checkLength(layout)
      const { op: _, ...options } = problem
      own(device.planSparseDecode(options))
      return []
    },
  }
}

/** The length of such a cache is exact, and beyond what 32 bits count. */
function checkLength(layout: KvLayout): void {
  const exact = BigInt(layout.pages - 1) * BigInt(layout.pageStride) + BigInt(pageLength(layout))
  check(
    BigInt(storageLength(layout)) === exact,
    `storageLength: expected ${exact}, found ${storageLength(layout)}`,
  )
  check(exact > 2n ** 31n, `${exact} elements are not beyond 2^31`)
}

/** Decodes from pages more than 2^31 elements apart, where the device has the memory for it. */
export function farCase(format: 'bf16' | 'e4m3'): Case {
  const spec = denseSpec({ format, batch: 2, keys: 100 })
  const name = `far/${format}`
  const far = (seed: number) => {
    const shape = denseShape(spec, seed, name)
    const { cache } = shape.problem
    // Two pages of the cache are unused, so that some of those from 2 on, beyond 2^31, are not.
    const pageStride = 2 ** 30
    return { shape, problem: { ...shape.problem, cache: kvLayout({ ...cache, pageStride }) } }
  }
  return {
    name,
    problem: (seed) => far(seed).problem,
    async run(bench) {
      const { shape, problem } = far(bench.seed)
      const inputs = bench.shared('inputs', (random) => denseInputs(spec, shape, random))
      const cache = farStorage(bench, problem.cache, inputs.storage, shape.problem.cache)
      const rig = new DenseRig(bench, { ...inputs, problem }, spec, cache)
      rig.update()
      rig.run()
      const { heads, queryTokens } = problem
      const grid = { batch: spec.batch, queryTokens, heads, cost: () => spec.keys * 1088 }
      const expected = bench.shared('rows', (random) =>
        denseOracle(inputs, chooseRows(grid, bench.budget, random)),
      )
      return checkRows(await rig.results(), expected, denseTolerance(inputs))
    },
  }
}

function farStorage(bench: Bench, layout: KvLayout, pages: ArrayLike<number>, packed: KvLayout) {
  const { device } = bench
  const bytes = storageLength(layout) * itemSize(storageDType(layout))
  const { freeBytes } = device.memory()
  if (freeBytes === undefined) throw new CaseSkipped('the device does not tell how much memory it has')
  if (freeBytes < 1.5 * bytes)
    throw new CaseSkipped(`the device has no ${Math.ceil(bytes / 1e9)} GB of memory to spare`)
  const cache = bench.own(device.createKvStorage(layout))
  const length = pageLength(packed)
  for (let page = 0; page < layout.pages; page++) {
    const elements = (pages as Uint16Array).subarray(
      page * packed.pageStride,
      page * packed.pageStride + length,
    )
    cache.tensor.slice(0, page, page + 1).write(elements)
  }
  return cache
}
