import {
  type FloatDType,
  isPolymlaError,
  type KvStorage,
  type SparseDecodePlan,
  type Stream,
  type Tensor,
} from '@polymla/core'
import { chooseRows, type ExpectedRows } from '../oracle/rows.js'
import { type SparseInputs, sparseEmptyRows, sparseOracle } from '../oracle/sparse-decode.js'
import type { Random } from '../random.js'
import { type PathTolerance, TOLERANCES } from '../tolerances.js'
import { type Bench, type Case, CaseSkipped } from './case.js'
import { checkRows, type FoundRows } from './check-rows.js'
import { type GuardedOutput, guardedOutput, on, upload, uploadStorage, uploadStrided } from './device-io.js'
import { sparseInputs, sparseProblem } from './sparse-data.js'
import { type SparseSpec, sparseName, sparseSpec } from './sparse-spec.js'

/** A case of sparse decode against the oracle. */
export function sparseCase(given: Parameters<typeof sparseSpec>[0]): Case {
  const spec = sparseSpec(given)
  const name = sparseName(spec)
  return {
    name,
    problem: () => sparseProblem(spec),
    async run(bench) {
      const inputs = bench.shared('inputs', (random) => sparseInputs(spec, random))
      const rig = new SparseRig(bench, inputs, spec)
      rig.update()
      rig.run()
      const found = rig.results()
      // The oracle computes while the device does.
      const expected = bench.shared('rows', (random) => expectedRows(inputs, bench.budget, random))
      return checkRows(await found, expected, sparseTolerance(inputs))
    },
  }
}

/** The oracle's results within a budget. */
function expectedRows(inputs: SparseInputs, budget: number, random: Random): ExpectedRows {
  const { problem, batch } = inputs
  const { queryTokens, heads, valueDim, topk, extra, cache } = problem
  const cost = () => (topk + (extra?.topk ?? 0)) * (cache.headDim + valueDim)
  return sparseOracle(inputs, chooseRows({ batch, queryTokens, heads, cost }, budget, random))
}

/** Sparse inputs on a device, ready to run. */
export class SparseRig {
  readonly inputs: SparseInputs
  readonly plan: SparseDecodePlan
  readonly out: GuardedOutput<FloatDType>
  readonly lse: GuardedOutput<'f32'> | null
  readonly #bench: Bench
  readonly #lengthsOn: SparseSpec['lengthsOn']
  readonly #q: Tensor<FloatDType>
  readonly #cache: KvStorage
  readonly #extraCache: KvStorage | null
  readonly #indices: Tensor<'i32'>
  readonly #extraIndices: Tensor<'i32'> | null
  readonly #sink: Tensor<'f32'> | null

  constructor(
    bench: Bench,
    inputs: SparseInputs,
    placement: Pick<SparseSpec, 'lengthsOn' | 'stridedQuery' | 'lse'>,
  ) {
    const { op: _, ...options } = inputs.problem
    const { queryTokens, heads, valueDim, dtype, outDtype, cache } = options
    const { batch, main, extra, sink } = inputs
    this.#bench = bench
    this.#lengthsOn = placement.lengthsOn
    this.inputs = inputs
    this.plan = bench.own(bench.device.planSparseDecode(options))
    const place = placement.stridedQuery ? uploadStrided : upload
    this.#q = place(bench, dtype, [batch, queryTokens, heads, cache.headDim], inputs.q)
    this.#cache = uploadStorage(bench, cache, main.storage).cache
    this.#indices = upload(bench, 'i32', [batch, queryTokens, main.topk], main.indices)
    this.#extraCache = extra && uploadStorage(bench, extra.layout, extra.storage).cache
    this.#extraIndices = extra && upload(bench, 'i32', [batch, queryTokens, extra.topk], extra.indices)
    this.#sink = sink && upload(bench, 'f32', [heads], sink)
    this.out = guardedOutput(bench, 'out', outDtype, [batch, queryTokens, heads, valueDim])
    this.lse = placement.lse ? guardedOutput(bench, 'lse', 'f32', [batch, heads, queryTokens]) : null
  }

  update(stream?: Stream): void {
    const { batch, main, extra } = this.inputs
    const place = (lengths: Int32Array) =>
      this.#lengthsOn === 'host' ? lengths : upload(this.#bench, 'i32', [batch], lengths)
    try {
      this.plan.update(
        {
          batch,
          ...(main.topkLength ? { topkLength: place(main.topkLength) } : {}),
          ...(extra?.topkLength ? { extraTopkLength: place(extra.topkLength) } : {}),
        },
        on(stream),
      )
    } catch (error) {
      if (this.#lengthsOn === 'device' && isPolymlaError(error, 'POLYMLA_UNSUPPORTED')) {
        throw new CaseSkipped(error.message)
      }
      throw error
    }
  }

  /** Enqueues a run; `change` replaces arguments, for misuse. */
  run(stream?: Stream, change: object = {}): void {
    this.plan.run({
      q: this.#q,
      cache: this.#cache,
      indices: this.#indices,
      sink: this.#sink,
      extraCache: this.#extraCache,
      extraIndices: this.#extraIndices,
      out: this.out.tensor,
      lse: this.lse?.tensor ?? null,
      descaleK: this.inputs.descaleK,
      ...on(stream),
      ...change,
    })
  }

  /** Downloads what the last run wrote. */
  async results(): Promise<FoundRows> {
    const { queryTokens, heads, outDtype } = this.inputs.problem
    const [out, lse] = await Promise.all([this.out.download(), this.lse?.download() ?? null])
    const empty = sparseEmptyRows(this.inputs)
    return { queryTokens, heads, dtype: outDtype, out, lse: lse as Float32Array | null, empty }
  }
}

export function sparseTolerance({ problem }: Pick<SparseInputs, 'problem'>): PathTolerance {
  return problem.cache.format === 'e4m3' ? TOLERANCES.denseFp8 : TOLERANCES.sparseDecode
}
