import {
  decodeProblem,
  type FloatDType,
  type HostArray,
  type KvFormat,
  kvLayout,
  sparseDecodeProblem,
  sparsePrefillProblem,
} from '@polymla/core'
import type { DenseInputs } from '../oracle/dense.js'
import type { SparseInputs } from '../oracle/sparse-decode.js'
import type { PrefillInputs } from '../oracle/sparse-prefill.js'
import { type GoldenTensors, wrong } from './golden-file.js'

/** Results of one case. */
export interface RecordedResults {
  /** Row-major, in the op's order. */
  readonly out: { readonly bits: HostArray; readonly dtype: FloatDType }
  readonly outShape: readonly number[]
  readonly lse: Float32Array
  /** Shape of lse and of maxLogits. */
  readonly lseShape: readonly number[]
  /** Of a prefill. */
  readonly maxLogits: Float32Array | null
}

/** A recorded case: inputs, FlashMLA's results, and those of float64 arithmetic. */
export type Recorded = { readonly float64: RecordedResults; readonly flashMla: RecordedResults } & (
  | { readonly op: 'decode'; readonly inputs: DenseInputs }
  | { readonly op: 'sparseDecode'; readonly inputs: SparseInputs }
  | { readonly op: 'sparsePrefill'; readonly inputs: PrefillInputs }
)

/** Reads a case; what tensors it has says which op it is. Throws `POLYMLA_INVALID_ARGUMENT` for anything inconsistent. */
export function readRecorded(tensors: GoldenTensors): Recorded {
  if (tensors.has('block_table')) {
    const inputs = readDense(tensors)
    const { queryTokens, heads, valueDim, outDtype } = inputs.problem
    const shape = [inputs.batch, queryTokens, heads, valueDim]
    return {
      op: 'decode',
      inputs,
      ...readResults(tensors, shape, [inputs.batch, heads, queryTokens], outDtype, false),
    }
  }
  if (tensors.has('kv_bytes')) {
    const inputs = readSparse(tensors)
    const { queryTokens, heads, valueDim } = inputs.problem
    const shape = [inputs.batch, queryTokens, heads, valueDim]
    return {
      op: 'sparseDecode',
      inputs,
      ...readResults(tensors, shape, [inputs.batch, heads, queryTokens], 'bf16', false),
    }
  }
  if (tensors.has('kv')) {
    const inputs = readPrefill(tensors)
    const { queryTokens, heads, valueDim, outDtype } = inputs.problem
    return {
      op: 'sparsePrefill',
      inputs,
      ...readResults(tensors, [queryTokens, heads, valueDim], [queryTokens, heads], outDtype, true),
    }
  }
  throw wrong(
    tensors.name,
    'tensors of a dense decode (block_table), a sparse decode (kv_bytes) or a prefill (kv, indices)',
    'none of these',
  )
}

const DENSE_FORMAT = { bf16: 'bf16', f16: 'fp16', f32: 'f32', e4m3: 'e4m3' } as const

function readDense(tensors: GoldenTensors): DenseInputs {
  const dtype = tensors.dtype('q', ['bf16', 'f16', 'f32', 'e4m3'])
  const qShape = tensors.shape('q', 4)
  const kvShape = tensors.shape('kv', 4)
  const [batch, queryTokens, heads] = qShape
  const [pages, pageSize, headsKv, headDim] = kvShape
  const [, width] = tensors.shape('block_table', 2)
  const mask = tensors.boolean('causal') ? 'causal' : 'none'
  const problem = decodeProblem({
    maxBatch: batch,
    queryTokens,
    heads,
    valueDim: tensors.shape('out_ref', 4)[3],
    dtype,
    cache: kvLayout({ format: DENSE_FORMAT[dtype], pages, pageSize, headsKv, headDim }),
    blockTableWidth: width,
    mask,
    softmaxScale: tensors.number('softmax_scale'),
  })
  return {
    problem,
    batch,
    q: tensors.elements('q', dtype, [batch, queryTokens, heads, headDim]),
    storage: tensors.elements('kv', dtype, kvShape),
    lengths: tensors.elements('seqlens', 'i32', [batch]),
    blockTable: tensors.elements('block_table', 'i32', [batch, width]),
    width,
    mask,
    queryTokens,
    pages,
    pageSize,
    treeMask: null,
    descaleQ: dtype === 'e4m3' ? tensors.elements('descale_q', 'f32', [1])[0] : 1,
    descaleK: dtype === 'e4m3' ? tensors.elements('descale_k', 'f32', [1])[0] : 1,
  }
}

const PACKED_FORMAT: Readonly<Record<number, KvFormat>> = { 656: 'fp8-656', 584: 'fp8-584' }

function readSparse(tensors: GoldenTensors): SparseInputs {
  const [batch, queryTokens, heads, headDim] = tensors.shape('q', 4)
  const readKeys = (prefix: '' | 'extra_') => {
    const shape = tensors.shape(`${prefix}kv_bytes`, 4)
    const [pages, pageSize, headsKv, tokenBytes] = shape
    const format = PACKED_FORMAT[tokenBytes]
    if (!format)
      throw wrong(`${tensors.name}.${prefix}kv_bytes`, '656 or 584 bytes per token', `${tokenBytes}`)
    const topk = tensors.shape(`${prefix}indices`, 3)[2]
    return {
      layout: kvLayout({ format, pages, pageSize, headsKv, headDim }),
      storage: tensors.elements(`${prefix}kv_bytes`, 'u8', shape),
      topk,
      indices: tensors.elements(`${prefix}indices`, 'i32', [batch, queryTokens, topk]),
      topkLength: tensors.has(`${prefix}topk_length`)
        ? tensors.elements(`${prefix}topk_length`, 'i32', [batch])
        : null,
    }
  }
  const main = readKeys('')
  const extra = tensors.has('extra_kv_bytes') ? readKeys('extra_') : null
  const sink = tensors.has('attn_sink') ? tensors.elements('attn_sink', 'f32', [heads]) : null
  const problem = sparseDecodeProblem({
    maxBatch: batch,
    queryTokens,
    heads,
    valueDim: tensors.shape('out_ref', 4)[3],
    cache: main.layout,
    topk: main.topk,
    topkLength: main.topkLength !== null,
    extra: extra && { cache: extra.layout, topk: extra.topk, topkLength: extra.topkLength !== null },
    sink: sink !== null,
    softmaxScale: tensors.number('softmax_scale'),
  })
  const q = tensors.elements('q', 'bf16', [batch, queryTokens, heads, headDim])
  return { problem, batch, q, main, extra, sink, descaleK: 1 }
}

function readPrefill(tensors: GoldenTensors): PrefillInputs {
  const dtype = tensors.dtype('q', ['bf16', 'f16', 'f32'])
  const [queryTokens, heads, headDim] = tensors.shape('q', 3)
  const [keys] = tensors.shape('kv', 3)
  const topk = tensors.shape('indices', 3)[2]
  const sink = tensors.has('attn_sink') ? tensors.elements('attn_sink', 'f32', [heads]) : null
  const topkLength = tensors.has('topk_length') ? tensors.elements('topk_length', 'i32', [queryTokens]) : null
  const problem = sparsePrefillProblem({
    queryTokens,
    heads,
    keys,
    headDim,
    valueDim: tensors.shape('out_ref', 3)[2],
    dtype,
    topk,
    topkLength: topkLength !== null,
    sink: sink !== null,
    softmaxScale: tensors.number('softmax_scale'),
  })
  return {
    problem,
    q: tensors.elements('q', dtype, [queryTokens, heads, headDim]),
    kv: tensors.elements('kv', dtype, [keys, 1, headDim]),
    indices: tensors.elements('indices', 'i32', [queryTokens, 1, topk]),
    topkLength,
    sink,
  }
}

function readResults(
  tensors: GoldenTensors,
  outShape: readonly number[],
  lseShape: readonly number[],
  outDtype: 'bf16' | 'f16' | 'f32',
  maxLogits: boolean,
): { float64: RecordedResults; flashMla: RecordedResults } {
  const read = (suffix: string, dtype: 'bf16' | 'f16' | 'f32'): RecordedResults => ({
    out: { bits: tensors.elements(`out_${suffix}`, dtype, outShape), dtype },
    outShape,
    lse: tensors.elements(`lse_${suffix}`, 'f32', lseShape),
    lseShape,
    maxLogits: maxLogits ? tensors.elements(`max_logits_${suffix}`, 'f32', lseShape) : null,
  })
  return { float64: read('ref', 'f32'), flashMla: read('flashmla', outDtype) }
}
