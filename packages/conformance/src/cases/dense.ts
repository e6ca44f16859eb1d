import {
  type DecodePlan,
  type FloatDType,
  isPolymlaError,
  type KvStorage,
  type Stream,
  type Tensor,
} from '@polymla/core'
import { type Comparison, compareBits, indexIn } from '../compare.js'
import { type DenseInputs, denseEmptyRows, denseOracle } from '../oracle/dense.js'
import { chooseRows, type ExpectedRows } from '../oracle/rows.js'
import type { Random } from '../random.js'
import { type PathTolerance, TOLERANCES } from '../tolerances.js'
import { type Bench, type Case, CaseSkipped } from './case.js'
import { checkRows, type FoundRows } from './check-rows.js'
import { denseInputs, denseShape } from './dense-data.js'
import { type DenseSpec, denseName, denseSpec } from './dense-spec.js'
import { type GuardedOutput, guardedOutput, on, upload, uploadStorage, uploadStrided } from './device-io.js'

/** A case of dense decode against the oracle. */
export function denseCase(given: Partial<DenseSpec>): Case {
  const spec = denseSpec(given)
  const name = denseName(spec)
  return {
    name,
    problem: (seed) => denseShape(spec, seed, name).problem,
    async run(bench) {
      const inputs = sharedInputs(bench, spec, name)
      const rig = new DenseRig(bench, inputs, spec)
      rig.update()
      rig.run()
      return rig.verify(rig.results(), sharedRows(bench, inputs))
    },
  }
}

/** Batch-invariant mode: every request gives the same bits alone as in the batch. */
export function invariantCase(given: Partial<DenseSpec>): Case {
  const spec = denseSpec({ splitPages: 2, lengths: 'varlen', batch: 4, ...given })
  const name = denseName(spec).replace('dense/', 'invariant/')
  return {
    name,
    problem: (seed) => denseShape(spec, seed, name).problem,
    async run(bench) {
      const inputs = sharedInputs(bench, spec, name)
      const rig = new DenseRig(bench, inputs, spec)
      rig.update()
      rig.run()
      const together = await rig.results()
      const comparisons: Comparison[] = []
      for (let request = 0; request < spec.batch; request++) {
        const alone = new DenseRig(bench, singleRequest(inputs, request), spec, rig.cache)
        alone.update()
        alone.run()
        const found = await alone.results()
        const perRequest = found.out.length
        const expected = together.out.subarray(request * perRequest, (request + 1) * perRequest)
        comparisons.push(compareBits(`out of request ${request}`, expected, found.out, indexIn(rig.outShape)))
      }
      return [...comparisons, ...(await rig.verify(together, sharedRows(bench, inputs)))]
    },
  }
}

function sharedInputs(bench: Bench, spec: DenseSpec, name: string): DenseInputs {
  return bench.shared('inputs', (random) => denseInputs(spec, denseShape(spec, bench.seed, name), random))
}

function sharedRows(bench: Bench, inputs: DenseInputs): ExpectedRows {
  return bench.shared('rows', (random) => expectedRows(inputs, bench.budget, random))
}

/** The oracle's results within a budget. */
function expectedRows(inputs: DenseInputs, budget: number, random: Random): ExpectedRows {
  const { queryTokens, heads, valueDim, cache } = inputs.problem
  const cost = (request: number) => inputs.lengths[request] * (cache.headDim + valueDim)
  const grid = { batch: inputs.batch, queryTokens, heads, cost }
  return denseOracle(inputs, chooseRows(grid, budget, random))
}

/** The inputs of one request of a batch, under the same problem. */
export function singleRequest(inputs: DenseInputs, request: number): DenseInputs {
  const { q, lengths, blockTable, width, treeMask, batch } = inputs
  const part = <A extends { subarray(begin: number, end: number): A; length: number }>(array: A): A =>
    array.subarray((array.length / batch) * request, (array.length / batch) * (request + 1))
  return {
    ...inputs,
    batch: 1,
    q: part(q as Float32Array),
    lengths: part(lengths),
    blockTable: blockTable.subarray(request * width, (request + 1) * width),
    treeMask: treeMask && part(treeMask),
  }
}

/** Dense inputs on a device, ready to run. */
export class DenseRig {
  readonly inputs: DenseInputs
  readonly plan: DecodePlan
  readonly q: Tensor<FloatDType>
  readonly cache: KvStorage
  readonly outShape: readonly number[]
  readonly out: GuardedOutput<FloatDType>
  readonly lse: GuardedOutput<'f32'> | null
  readonly #bench: Bench
  readonly #tables: DenseSpec['tables']

  constructor(
    bench: Bench,
    inputs: DenseInputs,
    placement: Pick<DenseSpec, 'tables' | 'stridedQuery' | 'lse'>,
    cache?: KvStorage,
  ) {
    const { op: _, ...options } = inputs.problem
    const { queryTokens, heads, valueDim, dtype } = inputs.problem
    this.#bench = bench
    this.#tables = placement.tables
    this.inputs = inputs
    this.plan = bench.own(bench.device.planDecode(options))
    const place = placement.stridedQuery ? uploadStrided : upload
    this.q = place(bench, dtype, [inputs.batch, queryTokens, heads, options.cache.headDim], inputs.q)
    this.cache = cache ?? uploadStorage(bench, options.cache, inputs.storage).cache
    this.outShape = [inputs.batch, queryTokens, heads, valueDim]
    this.out = guardedOutput(bench, 'out', inputs.problem.outDtype, this.outShape)
    this.lse = placement.lse ? guardedOutput(bench, 'lse', 'f32', [inputs.batch, heads, queryTokens]) : null
  }

  /** Updates the plan, with lengths and tables where the case has them unless `tables` says otherwise. */
  update(stream?: Stream, tables = this.#tables): void {
    const { batch, lengths, blockTable, width, treeMask, problem } = this.inputs
    const device = (shape: readonly number[], data: Int32Array) => upload(this.#bench, 'i32', shape, data)
    const everything = tables === 'device'
    const words = Math.ceil(problem.queryTokens / 32)
    try {
      this.plan.update(
        {
          seqlens: everything ? device([batch], lengths) : lengths,
          blockTable: tables === 'host' ? blockTable : device([batch, width], blockTable),
          ...(treeMask
            ? { treeMask: everything ? device([batch, problem.queryTokens, words], treeMask) : treeMask }
            : {}),
        },
        on(stream),
      )
    } catch (error) {
      // Whether a device schedules from lengths of its own is no property of the problem, so supports() cannot tell.
      if (everything && isPolymlaError(error, 'POLYMLA_UNSUPPORTED')) throw new CaseSkipped(error.message)
      throw error
    }
  }

  run(stream?: Stream): void {
    const { descaleQ, descaleK } = this.inputs
    this.plan.run({
      q: this.q,
      cache: this.cache,
      out: this.out.tensor,
      lse: this.lse?.tensor ?? null,
      descaleQ,
      descaleK,
      ...on(stream),
    })
  }

  /** Makes the outputs NaN again, in the stream's order. */
  poisonOutputs(stream?: Stream): void {
    this.out.poison(stream)
    this.lse?.poison(stream)
  }

  /** Downloads what the last run wrote. */
  async results(stream?: Stream): Promise<FoundRows> {
    const { queryTokens, heads, outDtype } = this.inputs.problem
    const [out, lse] = await Promise.all([this.out.download(stream), this.lse?.download(stream) ?? null])
    const empty = denseEmptyRows(this.inputs)
    return { queryTokens, heads, dtype: outDtype, out, lse: lse as Float32Array | null, empty }
  }

  /**
   * Compares results with the oracle's, within the bench's budget. The oracle computes while the device does: arguments are
   * evaluated in this order.
   */
  async verify(
    found: FoundRows | Promise<FoundRows> = this.results(),
    expected = expectedRows(this.inputs, this.#bench.budget, this.#bench.random),
  ): Promise<Comparison[]> {
    return checkRows(await found, expected, denseTolerance(this.inputs))
  }
}

export function denseTolerance({ problem }: Pick<DenseInputs, 'problem'>): PathTolerance {
  if (problem.dtype === 'e4m3' || problem.cache.format === 'e4m3') return TOLERANCES.denseFp8
  return problem.cache.format.startsWith('fp8') ? TOLERANCES.sparseDecode : TOLERANCES.dense
}
