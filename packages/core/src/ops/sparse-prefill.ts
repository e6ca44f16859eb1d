import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import type { FloatDType } from '../dtype/index.js'
import { oneOf, options } from '../problem/checks.js'
import { OUT_DTYPES } from '../problem/decode.js'
import { sparsePrefillProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { launchOnce, opPlan } from './op-plans.js'
import { checkRank, checkTensor } from './tensor-args.js'

export interface SparsePrefillInput {
  /** [queryTokens, heads, headDim]; bf16, f16 or f32. */
  readonly q: Tensor<FloatDType>
  /** [keys, 1, headDim], same dtype. */
  readonly kv: Tensor<FloatDType>
  /** [queryTokens, 1, topk] rows of kv; anything outside [0, keys) is invisible. Contiguous. */
  readonly indices: Tensor<'i32'>
  /** No default: see `softmaxScaleFromConfig`. */
  readonly softmaxScale: number
  /** [queryTokens] how many leading indices count. Contiguous. */
  readonly topkLength?: Tensor<'i32'> | null
  /** [heads], natural units. */
  readonly sink?: Tensor<'f32'> | null
  /** [queryTokens, heads, valueDim], contiguous. */
  readonly out: Tensor<FloatDType>
  /** [queryTokens, heads] the largest scaled logit, −Infinity for an empty row. Contiguous. */
  readonly maxLogits?: Tensor<'f32'> | null
  /** [queryTokens, heads], natural log, without the sink. Contiguous. */
  readonly lse?: Tensor<'f32'> | null
  readonly stream?: Stream
}

/** See {@link SparsePrefillProblem}. */
export function sparsePrefill(context: DeviceContext, input: SparsePrefillInput): void {
  const { q, kv, indices, out } = options('input', input, [
    'q',
    'kv',
    'indices',
    'softmaxScale',
    'topkLength',
    'sink',
    'out',
    'maxLogits',
    'lse',
    'stream',
  ])
  const { topkLength = null, sink = null, maxLogits = null, lse = null } = input
  for (const [name, tensor] of Object.entries({ q, kv, indices, out })) checkRank(name, tensor, 3)
  const [queryTokens, heads, headDim] = q.shape
  const [keys] = kv.shape
  const topk = indices.shape[2]
  const problem = sparsePrefillProblem({
    queryTokens,
    heads,
    keys,
    headDim,
    valueDim: out.shape[2],
    dtype: oneOf('q.dtype', q.dtype, OUT_DTYPES),
    outDtype: oneOf('out.dtype', out.dtype, OUT_DTYPES),
    topk,
    topkLength: topkLength !== null,
    sink: sink !== null,
    softmaxScale: input.softmaxScale,
  })
  checkTensor(context, 'q', q, problem.dtype, q.shape, 'strided')
  checkTensor(context, 'kv', kv, problem.dtype, [keys, 1, headDim], 'strided')
  checkTensor(context, 'indices', indices, 'i32', [queryTokens, 1, topk], 'contiguous')
  checkTensor(context, 'out', out, problem.outDtype, [queryTokens, heads, problem.valueDim], 'contiguous')
  if (maxLogits !== null)
    checkTensor(context, 'maxLogits', maxLogits, 'f32', [queryTokens, heads], 'contiguous')
  if (lse !== null) checkTensor(context, 'lse', lse, 'f32', [queryTokens, heads], 'contiguous')
  if (topkLength !== null) {
    checkTensor(context, 'topkLength', topkLength, 'i32', [queryTokens], 'contiguous')
  }
  if (sink !== null) checkTensor(context, 'sink', sink, 'f32', [heads], 'contiguous')
  const stream = context.streamFor(input.stream)
  if (queryTokens === 0) return
  const args = { q, kv, indices, topkLength, sink, out, maxLogits, lse }
  launchOnce(context, stream, opPlan(context, stream, problem), args, Object.values(args))
}
