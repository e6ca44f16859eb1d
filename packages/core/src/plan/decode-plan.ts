import type { DecodeArgs } from '../backend/index.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import type { FloatDType } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import type { KvStorage } from '../kv-cache/storage.js'
import { hostIntegers, type Integers } from '../ops/integers.js'
import { checkCache, checkScale, checkTensor } from '../ops/tensor-args.js'
import { options as known, object } from '../problem/checks.js'
import type { DecodeProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Mutable } from './mutable.js'
import { Plan } from './plan.js'
import { checkBlockTable, checkLengths } from './step-checks.js'

/** One step's lengths and pages, for every layer. */
export interface DecodeUpdate {
  /** [batch] tokens of each request, the new ones included; 0 is a padding row: out = 0, lse = +Infinity. */
  readonly seqlens: Integers
  /**
   * [batch, width], width ≤ blockTableWidth: page ids. Entries past a request's length may hold anything. On the host,
   * an id outside the cache inside a length is an error; on the device it makes its keys invisible.
   */
  readonly blockTable: Integers
  /** [batch, queryTokens, ceil(queryTokens / 32)] bit masks; exactly when the problem's mask is `tree`. */
  readonly treeMask?: Integers
  /** Says what has changed since, once something has: `PagedKvCache.batch()` brings it. */
  readonly stale?: () => string | null
}

export interface DecodeRun {
  /** [batch, queryTokens, heads, headDim], problem.dtype */
  readonly q: Tensor<FloatDType>
  /** A layer's cache, of the problem's layout. */
  readonly cache: KvStorage
  /** [batch, queryTokens, heads, valueDim], problem.outDtype, contiguous */
  readonly out: Tensor<FloatDType>
  /** f32 [batch, heads, queryTokens], natural log, contiguous */
  readonly lse?: Tensor<'f32'> | null
  /** Dequantisation factor of an e4m3 q. Default 1. */
  readonly descaleQ?: number
  /** Dequantisation factor of an e4m3 cache. Default 1. */
  readonly descaleK?: number
  readonly stream?: Stream
}

/** `width` comes with `PagedKvCache.batch()` and follows from the table. */
const STEP = ['seqlens', 'blockTable', 'treeMask', 'stale', 'width'] as const
const RUN = ['q', 'cache', 'out', 'lse', 'descaleQ', 'descaleK', 'stream'] as const

/** Dense decode: update once per step, run once per layer. See {@link DecodeProblem} for what it computes. */
export class DecodePlan extends Plan<DecodeProblem, 'seqlens' | 'treeMask' | 'blockTable', DecodeRun> {
  protected readonly args: Mutable<DecodeArgs>
  readonly #qShape: number[]
  readonly #outShape: number[]
  readonly #lseShape: number[]

  /** @internal Plans come from `device.planDecode`. */
  constructor(context: DeviceContext, problem: DecodeProblem) {
    const { maxBatch, queryTokens, heads, cache } = problem
    const maskWords = problem.mask === 'tree' ? Math.ceil(queryTokens / 32) : 0
    super(context, problem, cache.pageSize, {
      seqlens: [maxBatch],
      treeMask: [maxBatch, queryTokens, maskWords],
      blockTable: [maxBatch, problem.blockTableWidth],
    })
    const { seqlens, blockTable, treeMask, schedule, numSplits } = this.metadata.sections
    const scheduled = this.backend.costModel !== undefined
    this.args = {
      batch: 0,
      q: seqlens.tensor,
      cache: seqlens.tensor,
      seqlens: seqlens.tensor,
      blockTable: blockTable.tensor,
      treeMask: problem.mask === 'tree' ? treeMask.tensor : null,
      out: seqlens.tensor,
      lse: null,
      descaleQ: 1,
      descaleK: 1,
      schedule: scheduled ? schedule.tensor : null,
      numSplits: scheduled ? numSplits.tensor : null,
      splitPages: problem.splitPages,
      workspace: this.metadata.workspace,
    }
    this.#qShape = [0, queryTokens, heads, cache.headDim]
    this.#outShape = [0, queryTokens, heads, problem.valueDim]
    this.#lseShape = [0, heads, queryTokens]
  }

  /**
   * Takes over one step's lengths and block table (copied; the arrays are the caller's again at once). Throws
   * `POLYMLA_INVALID_ARGUMENT` before anything is written.
   */
  update(step: DecodeUpdate, options: { stream?: Stream } = {}): this {
    this.assertLive()
    const { problem, context, metadata } = this
    const { sections } = metadata
    const { stale } = known('step', step as DecodeUpdate & { width?: number }, STEP)
    if (stale !== undefined && typeof stale !== 'function')
      throw invalidArgument('stale', 'a function', stale)
    const lengths = hostIntegers('seqlens', step.seqlens)
    const table = hostIntegers('blockTable', step.blockTable)
    const batch = checkLengths(context, problem, step.seqlens, lengths)
    const width = checkBlockTable(context, problem, batch, lengths, step.blockTable, table)
    const mask = this.#checkTreeMask(step.treeMask, batch)
    if (!lengths) {
      const refusal = this.scheduling.deviceRefusal()
      if (refusal) throw refusal
    }
    const onHost = lengths || table || mask
    if (onHost) context.notCapturing('plan.update with lengths or tables on the host')
    const target = context.streamFor(object('options', options).stream)
    if (lengths && batch > 0) this.scheduling.fromHost(lengths, batch)

    this.updating()
    const stream = this.moveTo(target)
    if (batch > 0) {
      if (lengths) sections.seqlens.host.set(lengths)
      if (table) {
        for (let row = 0; row < batch; row++) {
          const from = row * width
          sections.blockTable.host.set(table.subarray(from, from + width), row * problem.blockTableWidth)
        }
      }
      if (mask) sections.treeMask.host.set(mask)
      if (onHost)
        metadata.upload(stream, sections.blockTable.offset + (table ? batch * problem.blockTableWidth : 0))

      if (!lengths) {
        this.copyIn(step.seqlens as Tensor<'i32'>, sections.seqlens, stream)
        this.scheduling.fromDevice(stream, {
          lengths: sections.seqlens.tensor,
          extraLengths: null,
          load: { batch, totalPages: batch * width, maxPages: width },
        })
      }
      if (!table) this.copyIn(step.blockTable as Tensor<'i32'>, sections.blockTable, stream)
      if (step.treeMask && !mask) this.copyIn(step.treeMask as Tensor<'i32'>, sections.treeMask, stream)
    }
    this.updated(batch, stale)
    return this
  }

  /** Checks the arguments of a run of `batch` requests and takes them over. @internal */
  accept(run: DecodeRun, batch: number): void {
    const { problem, context } = this
    const { q, out, lse = null } = known('run', run, RUN)
    this.#qShape[0] = batch
    this.#outShape[0] = batch
    this.#lseShape[0] = batch
    checkTensor(context, 'q', q, problem.dtype, this.#qShape, 'strided')
    checkTensor(context, 'out', out, problem.outDtype, this.#outShape, 'contiguous')
    if (lse !== null) checkTensor(context, 'lse', lse, 'f32', this.#lseShape, 'contiguous')
    const cache = checkCache(context, 'cache', run.cache, problem.cache)
    const descaleQ = checkScale('descaleQ', run.descaleQ, problem.dtype === 'e4m3')
    const descaleK = checkScale('descaleK', run.descaleK, problem.cache.format === 'e4m3')

    const args = this.args
    args.batch = batch
    args.q = q
    args.cache = cache
    args.out = out
    args.lse = lse
    args.descaleQ = descaleQ
    args.descaleK = descaleK
    const tensors = this.tensors
    tensors[0] = q
    tensors[1] = cache
    tensors[2] = out
    tensors[3] = lse
  }

  #checkTreeMask(given: Integers | undefined, batch: number): Int32Array | null {
    const { queryTokens, mask } = this.problem
    const shape = [batch, queryTokens, Math.ceil(queryTokens / 32)]
    if ((given !== undefined) !== (mask === 'tree')) {
      throw invalidArgument(
        'treeMask',
        mask === 'tree'
          ? `bit masks [${shape.join(', ')}], as the mask is tree`
          : `nothing, as the mask is ${mask}`,
        given,
      )
    }
    if (given === undefined) return null
    const host = hostIntegers('treeMask', given)
    if (!host) checkTensor(this.context, 'treeMask', given as Tensor<'i32'>, 'i32', shape, 'contiguous')
    else if (host.length !== shape[0] * shape[1] * shape[2]) {
      throw invalidArgument('treeMask', `${shape[0] * shape[1] * shape[2]} words [${shape.join(', ')}]`, host)
    }
    return host
  }
}
