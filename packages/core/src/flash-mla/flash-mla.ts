import { newTensor } from '../device/allocate.js'
import type { Stream } from '../device/stream.js'
import type { FloatDType } from '../dtype/index.js'
import { invalidArgument, inWords, PolymlaError } from '../errors.js'
import type { KvStorage } from '../kv-cache/storage.js'
import type { Integers } from '../ops/integers.js'
import { sparsePrefill } from '../ops/sparse-prefill.js'
import { checkRank, checkScale } from '../ops/tensor-args.js'
import { DecodePlan } from '../plan/decode-plan.js'
import { SparseDecodePlan } from '../plan/sparse-decode-plan.js'
import { boolean, object, valueDim } from '../problem/checks.js'
import {
  type DecodeProblem,
  decodeProblem,
  type SparseDecodeProblem,
  sparseDecodeProblem,
} from '../problem/index.js'
import { Tensor } from '../tensor/tensor.js'
import { FlashMlaSchedMeta } from './sched-meta.js'
import { storageOf } from './storage-of.js'

/** What FlashMLA has no argument for. */
export interface FlashMlaOptions {
  readonly stream?: Stream
  /** Dequantisation factors of an e4m3 q and cache, as in the vLLM fork's dense FP8. Default 1. */
  readonly descaleQ?: number
  readonly descaleK?: number
}

/** Fresh, empty metadata and null, as FlashMLA returns them; arguments of older versions are ignored. */
export function getMlaMetadata(..._ignored: unknown[]): [FlashMlaSchedMeta, null] {
  return [new FlashMlaSchedMeta(), null]
}

/**
 * `flash_mla_with_kvcache` of FlashMLA (9241ae3), same argument order, over this library's plans.
 *
 * @param q [batch, s_q, h_q, d_qk]
 * @param kCache [blocks, page, h_kv, d_qk], or u8 [blocks, page, 1, 656 | 584] for the packed fp8 formats
 * @param blockTable i32 [batch, width]; null for sparse attention
 * @param cacheSeqlens i32 [batch]; null for sparse attention
 * @param headDimV d_v
 * @param tileSchedulerMetadata from {@link getMlaMetadata}; unlike in FlashMLA, lengths that change between calls are
 *   noticed
 * @param softmaxScale null: d_qk^-½, FlashMLA's default
 * @returns out [batch, s_q, h_q, d_v] and lse f32 [batch, h_q, s_q] (natural log), new tensors that the caller disposes
 * @throws `POLYMLA_INVALID_ARGUMENT`, `POLYMLA_UNSUPPORTED`, `POLYMLA_PLAN_STALE`
 */
export function flashMlaWithKvcache(
  q: Tensor<FloatDType>,
  kCache: Tensor,
  blockTable: Integers | null,
  cacheSeqlens: Integers | null,
  headDimV: number,
  tileSchedulerMetadata: FlashMlaSchedMeta,
  numSplits: null = null,
  softmaxScale: number | null = null,
  causal = false,
  isFp8Kvcache = false,
  indices: Tensor<'i32'> | null = null,
  attnSink: Tensor<'f32'> | null = null,
  extraKCache: Tensor | null = null,
  extraIndicesInKvcache: Tensor<'i32'> | null = null,
  topkLength: Integers | null = null,
  extraTopkLength: Integers | null = null,
  options: FlashMlaOptions = {},
): [Tensor<OutDtype>, Tensor<'f32'>] {
  checkRank('q', q, 4)
  checkRank('kCache', kCache, 4)
  if (indices !== null) checkRank('indices', indices, 3)
  if (extraKCache !== null) checkRank('extraKCache', extraKCache, 4)
  if (extraIndicesInKvcache !== null) checkRank('extraIndicesInKvcache', extraIndicesInKvcache, 3)
  if (!(tileSchedulerMetadata instanceof FlashMlaSchedMeta)) {
    throw invalidArgument(
      'tileSchedulerMetadata',
      'the metadata that getMlaMetadata() returned',
      tileSchedulerMetadata,
    )
  }
  if (numSplits !== null) throw invalidArgument('numSplits', 'null', numSplits)
  const isFp8 = kCache.dtype === 'u8' || kCache.dtype === 'e4m3'
  if (isFp8Kvcache !== isFp8)
    throw invalidArgument('isFp8Kvcache', `${isFp8} for a ${kCache.dtype} cache`, isFp8Kvcache)
  if (boolean('causal', causal) && indices)
    throw invalidArgument('causal', 'false for sparse attention', causal)
  const sparseOnly = { attnSink, extraKCache, extraIndicesInKvcache, topkLength, extraTopkLength }
  for (const [name, value] of Object.entries(sparseOnly)) {
    if (!indices && value !== null) throw invalidArgument(name, 'null for dense attention', value)
  }
  const [batch, queryTokens, heads, headDim] = q.shape
  const meta = tileSchedulerMetadata
  const config = {
    device: q.device,
    batch,
    queryTokens,
    heads,
    pageSize: kCache.shape[1],
    headsKv: kCache.shape[2],
    causal,
    isFp8Kvcache,
    topk: indices ? indices.shape[2] : null,
    extraPageSize: extraKCache ? extraKCache.shape[1] : null,
    extraTopk: extraIndicesInKvcache ? extraIndicesInKvcache.shape[2] : null,
  }
  meta.match(config)
  const cache = storageOf('kCache', kCache, headDim)
  valueDim('headDimV', headDimV, cache.layout)
  const shape = {
    maxBatch: batch,
    queryTokens,
    heads,
    valueDim: headDimV,
    softmaxScale: softmaxScale ?? headDim ** -0.5,
    cache: cache.layout,
  }
  const outDtype = q.dtype === 'e4m3' ? 'bf16' : (q.dtype as OutDtype)
  const run = { ...object('options', options), q, cache }
  const launch = indices
    ? sparseLaunch(
        meta,
        shape,
        run,
        indices,
        attnSink,
        extraKCache,
        extraIndicesInKvcache,
        topkLength,
        extraTopkLength,
      )
    : denseLaunch(meta, shape, run, causal, blockTable, cacheSeqlens)

  return allocating((empty) => {
    const out = empty(q, outDtype, [batch, queryTokens, heads, headDimV])
    const lse = empty(q, 'f32', [batch, heads, queryTokens])
    launch(out, lse)
    meta.adopt(config)
    return [out, lse]
  })
}

/**
 * `flash_mla_sparse_fwd` of FlashMLA (9241ae3), same argument order.
 *
 * @param q [s_q, h_q, d_qk]
 * @param kv [s_kv, 1, d_qk]
 * @param indices i32 [s_q, 1, topk]; outside [0, s_kv): invisible
 * @param attnSink f32 [h_q]
 * @param topkLength i32 [s_q]
 * @returns out [s_q, h_q, d_v], max logits and lse f32 [s_q, h_q] (natural log), new tensors that the caller disposes
 * @throws `POLYMLA_INVALID_ARGUMENT`, `POLYMLA_UNSUPPORTED`
 */
export function flashMlaSparseFwd(
  q: Tensor<FloatDType>,
  kv: Tensor<FloatDType>,
  indices: Tensor<'i32'>,
  smScale: number,
  dV = 512,
  attnSink: Tensor<'f32'> | null = null,
  topkLength: Tensor<'i32'> | null = null,
  options: { readonly stream?: Stream } = {},
): [Tensor<OutDtype>, Tensor<'f32'>, Tensor<'f32'>] {
  checkRank('q', q, 3)
  const [queryTokens, heads, headDim] = q.shape
  valueDim('dV', dV, { headDim })
  return allocating((empty) => {
    const out = empty(q, q.dtype as OutDtype, [queryTokens, heads, dV])
    const maxLogits = empty(q, 'f32', [queryTokens, heads])
    const lse = empty(q, 'f32', [queryTokens, heads])
    const tensors = { q, kv, indices, sink: attnSink, topkLength, out, maxLogits, lse }
    sparsePrefill(q.context, { ...object('options', options), ...tensors, softmaxScale: smScale })
    return [out, maxLogits, lse]
  })
}

/**
 * FlashMLA's dense multi-head prefill (compute capability 10.0 only there) is not among this library's ops.
 *
 * @throws `POLYMLA_UNSUPPORTED` always
 */
export function flashAttnVarlenFunc(..._arguments: unknown[]): never {
  throw new PolymlaError(
    'POLYMLA_UNSUPPORTED',
    'flashAttnVarlenFunc: dense multi-head prefill is not implemented',
    {
      fix: 'Use flashMlaSparseFwd for prefill over chosen keys, or an engine of your own for dense prefill',
    },
  )
}

type OutDtype = 'bf16' | 'f16' | 'f32'
type Launch = (out: Tensor<OutDtype>, lse: Tensor<'f32'>) => void
type Shape = Pick<DecodeProblem, 'maxBatch' | 'queryTokens' | 'heads' | 'valueDim' | 'softmaxScale' | 'cache'>
type Run = FlashMlaOptions & { readonly q: Tensor<FloatDType>; readonly cache: KvStorage }

function denseLaunch(
  meta: FlashMlaSchedMeta,
  shape: Shape,
  run: Run,
  causal: boolean,
  blockTable: Integers | null,
  cacheSeqlens: Integers | null,
): Launch {
  if (!blockTable || !cacheSeqlens) {
    throw invalidArgument('blockTable and cacheSeqlens', 'both, for dense attention', inWords('null'))
  }
  const problem = decodeProblem({
    ...shape,
    dtype: run.q.dtype as DecodeProblem['dtype'],
    blockTableWidth:
      blockTable instanceof Tensor ? blockTable.shape[1] : blockTable.length / Math.max(shape.maxBatch, 1),
    mask: causal ? 'causal' : 'none',
  })
  const plan = meta.planFor(problem, () => new DecodePlan(run.q.context, problem))
  return (out, lse) => {
    const all = { ...run, out, lse }
    plan.accept(all, shape.maxBatch)
    plan.update({ seqlens: cacheSeqlens, blockTable }, run)
    plan.run(all)
  }
}

function sparseLaunch(
  meta: FlashMlaSchedMeta,
  shape: Shape,
  run: Run,
  indices: Tensor<'i32'>,
  sink: Tensor<'f32'> | null,
  extraKCache: Tensor | null,
  extraIndices: Tensor<'i32'> | null,
  topkLength: Integers | null,
  extraTopkLength: Integers | null,
): Launch {
  const { descaleQ, ...given } = run
  const { q } = given
  checkScale('descaleQ', descaleQ, false)
  const extraCache = extraKCache && storageOf('extraKCache', extraKCache, q.shape[3])
  const problem = sparseDecodeProblem({
    ...shape,
    dtype: q.dtype as SparseDecodeProblem['dtype'],
    topk: indices.shape[2],
    topkLength: topkLength !== null,
    extra: extraCache && {
      cache: extraCache.layout,
      topk: extraIndices?.shape[2] ?? 0,
      topkLength: extraTopkLength !== null,
    },
    sink: sink !== null,
  })
  const plan = meta.planFor(problem, () => new SparseDecodePlan(q.context, problem))
  const step = {
    batch: shape.maxBatch,
    ...(topkLength && { topkLength }),
    ...(extraTopkLength && { extraTopkLength }),
  }
  return (out, lse) => {
    const all = { ...given, indices, sink, extraCache, extraIndices, out, lse }
    plan.accept(all, shape.maxBatch)
    plan.update(step, run)
    plan.run(all)
  }
}

type Empty = <D extends OutDtype>(like: Tensor, dtype: D, shape: readonly number[]) => Tensor<D>

/** Allocates results beside an input, and frees them if what fills them throws. */
function allocating<T>(fill: (empty: Empty) => T): T {
  const made: Tensor[] = []
  try {
    return fill((like, dtype, shape) => {
      const tensor = newTensor(like.context, dtype, shape)
      made.push(tensor)
      return tensor
    })
  } catch (error) {
    for (const tensor of made) tensor.dispose()
    throw error
  }
}
