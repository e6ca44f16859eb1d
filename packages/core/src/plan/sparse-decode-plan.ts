import type { SparseDecodeArgs } from '../backend/index.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { type FloatDType, hostArray } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import type { KvStorage } from '../kv-cache/storage.js'
import { hostIntegers, type Integers } from '../ops/integers.js'
import { checkCache, checkOptional, checkScale, checkTensor } from '../ops/tensor-args.js'
import { integer, options as known, object } from '../problem/checks.js'
import type { SparseDecodeProblem } from '../problem/index.js'
import { sparseLengths } from '../scheduler/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Mutable } from './mutable.js'
import { Plan } from './plan.js'

/** One step's batch and topk lengths, for every layer. */
export interface SparseDecodeUpdate {
  readonly batch: number
  /** [batch], each in [0, topk]: how many leading indices count. Exactly when the problem has topk lengths. */
  readonly topkLength?: Integers
  /** The same for the extra cache. */
  readonly extraTopkLength?: Integers
}

export interface SparseDecodeRun {
  /** [batch, queryTokens, heads, headDim], problem.dtype */
  readonly q: Tensor<FloatDType>
  readonly cache: KvStorage
  /** [batch, queryTokens, topk] page · pageSize + offset; anything outside the cache is invisible. Contiguous. */
  readonly indices: Tensor<'i32'>
  /** [heads], natural units; exactly when the problem has a sink. */
  readonly sink?: Tensor<'f32'> | null
  /** Exactly when the problem has an extra cache. */
  readonly extraCache?: KvStorage | null
  /** [batch, queryTokens, extra.topk], contiguous */
  readonly extraIndices?: Tensor<'i32'> | null
  /** [batch, queryTokens, heads, valueDim], problem.outDtype, contiguous */
  readonly out: Tensor<FloatDType>
  /** f32 [batch, heads, queryTokens], natural log, without the sink, contiguous */
  readonly lse?: Tensor<'f32'> | null
  /** Dequantisation factor of e4m3 caches. Default 1. */
  readonly descaleK?: number
  readonly stream?: Stream
}

const STEP = ['batch', 'topkLength', 'extraTopkLength'] as const
const RUN = [
  'q',
  'cache',
  'indices',
  'sink',
  'extraCache',
  'extraIndices',
  'out',
  'lse',
  'descaleK',
  'stream',
] as const

/** FlashMLA's unit of sparse work (9241ae3): its kernels take 64 indices at a time. */
const INDICES_PER_PAGE = 64

/** Sparse decode: update once per step, run once per layer. See {@link SparseDecodeProblem} for what it computes. */
export class SparseDecodePlan extends Plan<
  SparseDecodeProblem,
  'topkLength' | 'extraTopkLength',
  SparseDecodeRun
> {
  protected readonly args: Mutable<SparseDecodeArgs>

  /** @internal Plans come from `device.planSparseDecode`. */
  constructor(context: DeviceContext, problem: SparseDecodeProblem) {
    const { maxBatch, extra } = problem
    super(context, problem, INDICES_PER_PAGE, {
      topkLength: [problem.topkLength ? maxBatch : 0],
      extraTopkLength: [extra?.topkLength ? maxBatch : 0],
    })
    const { topkLength, extraTopkLength, schedule, numSplits } = this.metadata.sections
    const scheduled = this.backend.costModel !== undefined
    this.args = {
      batch: 0,
      q: schedule.tensor,
      cache: schedule.tensor,
      indices: schedule.tensor,
      topkLength: problem.topkLength ? topkLength.tensor : null,
      extraCache: null,
      extraIndices: null,
      extraTopkLength: extra?.topkLength ? extraTopkLength.tensor : null,
      sink: null,
      out: schedule.tensor,
      lse: null,
      descaleK: 1,
      schedule: scheduled ? schedule.tensor : null,
      numSplits: scheduled ? numSplits.tensor : null,
      splitPages: problem.splitPages,
      workspace: this.metadata.workspace,
    }
  }

  /**
   * Takes over one step's batch and topk lengths (copied). Throws `POLYMLA_INVALID_ARGUMENT` before anything is
   * written.
   */
  update(step: SparseDecodeUpdate, options: { stream?: Stream } = {}): this {
    this.assertLive()
    const { problem, context, metadata } = this
    const batch = integer('batch', known('step', step, STEP).batch, 0, problem.maxBatch)
    const main = this.#checkCounts('topkLength', step.topkLength, problem.topkLength, batch, problem.topk)
    const extraTopk = problem.extra?.topk ?? 0
    const extra = this.#checkCounts(
      'extraTopkLength',
      step.extraTopkLength,
      problem.extra?.topkLength ?? false,
      batch,
      extraTopk,
    )
    const onDevice = (step.topkLength && !main) || (step.extraTopkLength && !extra)
    if (onDevice) {
      const refusal = this.scheduling.deviceRefusal()
      if (refusal) throw refusal
    }
    // Without lengths on the device the schedule itself comes from the host.
    const upload = !onDevice || main || extra
    if (upload) context.notCapturing('plan.update on the host')
    const target = context.streamFor(object('options', options).stream)
    if (!onDevice && batch > 0) {
      const load = {
        batch,
        topk: problem.topk,
        topkLength: main ?? undefined,
        extraTopk,
        extraTopkLength: extra ?? undefined,
      }
      const lengths = hostArray('i32', batch)
      sparseLengths(load, INDICES_PER_PAGE, lengths)
      this.scheduling.fromHost(lengths, batch)
    }

    this.updating()
    const stream = this.moveTo(target)
    if (batch > 0) {
      const { topkLength, extraTopkLength } = metadata.sections
      if (main) topkLength.host.set(main)
      if (extra) extraTopkLength.host.set(extra)
      if (upload) metadata.upload(stream)
      if (onDevice) {
        if (step.topkLength && !main) this.copyIn(step.topkLength as Tensor<'i32'>, topkLength, stream)
        if (step.extraTopkLength && !extra)
          this.copyIn(step.extraTopkLength as Tensor<'i32'>, extraTopkLength, stream)
        this.#scheduleOnDevice(batch, stream)
      }
    }
    this.updated(batch, undefined)
    return this
  }

  /** Checks the arguments of a run of `batch` requests and takes them over. @internal */
  accept(run: SparseDecodeRun, batch: number): void {
    const { problem, context } = this
    const { queryTokens, heads, cache: layout, extra } = problem
    const { q, indices, out, lse = null } = known('run', run, RUN)
    checkTensor(context, 'q', q, problem.dtype, [batch, queryTokens, heads, layout.headDim], 'strided')
    checkTensor(context, 'indices', indices, 'i32', [batch, queryTokens, problem.topk], 'contiguous')
    checkTensor(
      context,
      'out',
      out,
      problem.outDtype,
      [batch, queryTokens, heads, problem.valueDim],
      'contiguous',
    )
    if (lse !== null) checkTensor(context, 'lse', lse, 'f32', [batch, heads, queryTokens], 'contiguous')
    const sink = checkOptional(context, 'sink', run.sink, problem.sink, 'f32', [heads])
    const cache = checkCache(context, 'cache', run.cache, layout)
    const extraIndices = checkOptional(context, 'extraIndices', run.extraIndices, extra !== null, 'i32', [
      batch,
      queryTokens,
      extra?.topk ?? 0,
    ])
    if (!extra && (run.extraCache ?? null) !== null) {
      throw invalidArgument('extraCache', 'nothing, as the problem declares none', run.extraCache)
    }
    const extraCache = extra && checkCache(context, 'extraCache', run.extraCache as KvStorage, extra.cache)

    const isE4m3 = layout.format === 'e4m3' || extra?.cache.format === 'e4m3'
    const descaleK = checkScale('descaleK', run.descaleK, isE4m3)

    const args = this.args
    args.batch = batch
    args.q = q
    args.cache = cache
    args.indices = indices
    args.extraCache = extraCache
    args.extraIndices = extraIndices
    args.sink = sink
    args.out = out
    args.lse = lse
    args.descaleK = descaleK
    const tensors = this.tensors
    tensors.length = 0
    tensors.push(q, cache, indices, extraCache, extraIndices, sink, out, lse)
  }

  #checkCounts(
    path: string,
    given: Integers | undefined,
    wanted: boolean,
    batch: number,
    topk: number,
  ): Int32Array | null {
    if ((given !== undefined) !== wanted) {
      throw invalidArgument(
        path,
        wanted ? `${batch} lengths, as the problem declares them` : 'nothing, as the problem declares none',
        given,
      )
    }
    if (given === undefined) return null
    const host = hostIntegers(path, given)
    if (!host) {
      checkTensor(this.context, path, given as Tensor<'i32'>, 'i32', [batch], 'contiguous')
      return null
    }
    if (host.length !== batch) throw invalidArgument(path, `${batch} lengths`, host)
    for (let request = 0; request < batch; request++) {
      if (host[request] < 0 || host[request] > topk) {
        throw invalidArgument(`${path}[${request}]`, `a number of indices in [0, ${topk}]`, host[request])
      }
    }
    return host
  }

  /** Chooses the launch shape from what the widths of the index tensors allow at most. */
  #scheduleOnDevice(batch: number, stream: Stream): void {
    const { topk, extra } = this.problem
    const { topkLength, extraTopkLength } = this.metadata.sections
    const pages =
      Math.max(Math.ceil(topk / INDICES_PER_PAGE), 1) + Math.ceil((extra?.topk ?? 0) / INDICES_PER_PAGE)
    this.scheduling.fromDevice(stream, {
      lengths: this.problem.topkLength ? topkLength.tensor : null,
      extraLengths: extra?.topkLength ? extraTopkLength.tensor : null,
      load: { batch, totalPages: batch * pages, maxPages: pages },
    })
  }
}
