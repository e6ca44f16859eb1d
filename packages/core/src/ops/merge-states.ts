import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import type { FloatDType } from '../dtype/index.js'
import { oneOf, options } from '../problem/checks.js'
import { OUT_DTYPES } from '../problem/decode.js'
import { mergeStatesProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { launchOnce, opPlan } from './op-plans.js'
import { checkRank, checkTensor } from './tensor-args.js'

export interface MergeStatesInput {
  /** [parts, batch, queryTokens, heads, valueDim]; f32, bf16 or f16. */
  readonly outs: Tensor<FloatDType>
  /** [parts, batch, heads, queryTokens], natural log. */
  readonly lses: Tensor<'f32'>
  /** [batch, queryTokens, heads, valueDim], contiguous. */
  readonly out: Tensor<FloatDType>
  /** [batch, heads, queryTokens], contiguous. */
  readonly lse?: Tensor<'f32'> | null
  readonly stream?: Stream
}

/** See {@link MergeStatesProblem}. */
export function mergeStates(context: DeviceContext, input: MergeStatesInput): void {
  const { outs, lses, out, lse = null } = options('input', input, ['outs', 'lses', 'out', 'lse', 'stream'])
  checkRank('outs', outs, 5)
  checkRank('out', out, 4)
  const [parts, batch, queryTokens, heads, valueDim] = outs.shape
  const problem = mergeStatesProblem({
    parts,
    batch,
    queryTokens,
    heads,
    valueDim,
    dtype: oneOf('outs.dtype', outs.dtype, OUT_DTYPES),
    outDtype: oneOf('out.dtype', out.dtype, OUT_DTYPES),
  })
  checkTensor(context, 'outs', outs, problem.dtype, outs.shape, 'strided')
  checkTensor(context, 'lses', lses, 'f32', [parts, batch, heads, queryTokens], 'strided')
  checkTensor(context, 'out', out, problem.outDtype, [batch, queryTokens, heads, valueDim], 'contiguous')
  if (lse !== null) checkTensor(context, 'lse', lse, 'f32', [batch, heads, queryTokens], 'contiguous')
  const stream = context.streamFor(input.stream)
  if (batch === 0) return
  const args = { outs, lses, out, lse }
  launchOnce(context, stream, opPlan(context, stream, problem), args, Object.values(args))
}
