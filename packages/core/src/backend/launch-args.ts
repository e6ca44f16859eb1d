import type { TensorRef } from './contract.js'

/**
 * Arguments of one launch, per op. Core has checked shapes, dtypes, strides and residence against the problem;
 * what host memory held (lengths, page ids) is checked too, what only the device holds is not: there, a page id or an
 * index outside the cache makes its keys invisible, and a length is clamped to [0, blockTableWidth · pageSize].
 *
 * `q`, `kv`, `latent`, `ropeKey`, `outs` and `lses` may have any outer strides ≥ 0; caches have those of their layout;
 * everything else is contiguous.
 */
export interface LaunchArgs {
  decode: DecodeArgs
  sparseDecode: SparseDecodeArgs
  sparsePrefill: SparsePrefillArgs
  appendKv: AppendKvArgs
  mergeStates: MergeStatesArgs
  copyPages: CopyPagesArgs
}

/** What core computed for this step; all null when the plan has no cost model. */
export interface ScheduleRefs {
  /** i32 [maxPartitions, 8]: rows past the chosen partition count are idle (`begin_req` = batch). */
  readonly schedule: TensorRef | null
  /** i32 [maxBatch + 1]; the first batch + 1 entries count. */
  readonly numSplits: TensorRef | null
  /** Pages per split in the batch-invariant mode, 0 in the balanced one. */
  readonly splitPages: number
  /** u8 [workspaceBytes]; null when the plan asked for none. */
  readonly workspace: TensorRef | null
}

/** Arguments of `BackendPlan.schedule`: lengths on the device in, schedule on the device out. */
export interface ScheduleArgs {
  readonly batch: number
  /**
   * i32 [maxBatch]; the first `batch` entries count. `decode`: the sequence lengths. `sparseDecode`: the topk lengths,
   * null when the problem has none; see `sparseLengths` for how lengths and extra lengths make one.
   */
  readonly lengths: TensorRef | null
  readonly extraLengths: TensorRef | null
  readonly partitions: number
  readonly fixedOverhead: number
  /** Tokens per unit of the schedule: the cache's page size, 64 indices for `sparseDecode`. */
  readonly pageSize: number
  readonly splitPages: number
  /** i32 [maxPartitions, 8]; rows from `partitions` on become idle. */
  readonly schedule: TensorRef
  readonly numSplits: TensorRef
}

export interface DecodeArgs extends ScheduleRefs {
  /** Requests in this launch, ≤ maxBatch, > 0. */
  readonly batch: number
  /** [batch, queryTokens, heads, headDim] */
  readonly q: TensorRef
  /** Shape and strides of `storageShape` / `storageStrides` of the problem's cache layout. */
  readonly cache: TensorRef
  /** i32 [maxBatch]: tokens of each request in the cache. */
  readonly seqlens: TensorRef
  /** i32 [maxBatch, blockTableWidth]: page ids; entries past a request's length are garbage. */
  readonly blockTable: TensorRef
  /** i32 [maxBatch, queryTokens, ceil(queryTokens / 32)] when the mask is `tree`, else null. */
  readonly treeMask: TensorRef | null
  /** [batch, queryTokens, heads, valueDim] */
  readonly out: TensorRef
  /** f32 [batch, heads, queryTokens], or null when not wanted. */
  readonly lse: TensorRef | null
  /** Dequantisation factors of an e4m3 q and of an e4m3 cache; 1 otherwise. */
  readonly descaleQ: number
  readonly descaleK: number
}

export interface SparseDecodeArgs extends ScheduleRefs {
  readonly batch: number
  /** [batch, queryTokens, heads, headDim] */
  readonly q: TensorRef
  readonly cache: TensorRef
  /** i32 [batch, queryTokens, topk]: page · pageSize + offset; anything outside the cache is invisible. */
  readonly indices: TensorRef
  /** i32 [maxBatch] when the problem has topk lengths, else null. */
  readonly topkLength: TensorRef | null
  readonly extraCache: TensorRef | null
  /** i32 [batch, queryTokens, extra.topk] */
  readonly extraIndices: TensorRef | null
  readonly extraTopkLength: TensorRef | null
  /** f32 [heads] */
  readonly sink: TensorRef | null
  readonly out: TensorRef
  readonly lse: TensorRef | null
  readonly descaleK: number
}

export interface SparsePrefillArgs {
  /** [queryTokens, heads, headDim] */
  readonly q: TensorRef
  /** [keys, 1, headDim] */
  readonly kv: TensorRef
  /** i32 [queryTokens, 1, topk] */
  readonly indices: TensorRef
  /** i32 [queryTokens] */
  readonly topkLength: TensorRef | null
  /** f32 [heads] */
  readonly sink: TensorRef | null
  /** [queryTokens, heads, valueDim] */
  readonly out: TensorRef
  /** f32 [queryTokens, heads] */
  readonly maxLogits: TensorRef | null
  /** f32 [queryTokens, heads] */
  readonly lse: TensorRef | null
  readonly workspace: TensorRef | null
}

export interface AppendKvArgs {
  /** Tokens in this launch, ≤ maxTokens, > 0. */
  readonly tokens: number
  /** [tokens, headsKv, headDim − ropeDim] */
  readonly latent: TensorRef
  /** [tokens, headsKv, ropeDim]; null when ropeDim is 0. */
  readonly ropeKey: TensorRef | null
  /** i32 [tokens]: page · pageSize + offset; anything outside the cache is skipped. */
  readonly slots: TensorRef
  /** i32 [tokens], row of the rotary table per token, outside of which the token is skipped; null when the keys come rotated. */
  readonly positions: TensorRef | null
  /** f32 [tableLength, ropeDim]: cosines then sines, ropeDim / 2 each. */
  readonly rotaryTable: TensorRef | null
  readonly cache: TensorRef
  /** An e4m3 cache stores x / descaleK; 1 otherwise. */
  readonly descaleK: number
  readonly workspace: TensorRef | null
}

export interface MergeStatesArgs {
  /** [parts, batch, queryTokens, heads, valueDim] */
  readonly outs: TensorRef
  /** f32 [parts, batch, heads, queryTokens] */
  readonly lses: TensorRef
  /** [batch, queryTokens, heads, valueDim] */
  readonly out: TensorRef
  /** f32 [batch, heads, queryTokens] */
  readonly lse: TensorRef | null
  readonly workspace: TensorRef | null
}

export interface CopyPagesArgs {
  /** Pairs in this launch, ≤ maxPairs, > 0. */
  readonly pairs: number
  readonly cache: TensorRef
  /** i32 [pairs, 2]: from, to. A pair with either id outside the cache is skipped; no target occurs twice or as a source. */
  readonly pages: TensorRef
  readonly workspace: TensorRef | null
}
