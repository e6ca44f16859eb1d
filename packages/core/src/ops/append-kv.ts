import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import type { FloatDType } from '../dtype/index.js'
import type { KvStorage } from '../kv-cache/storage.js'
import { oneOf, options } from '../problem/checks.js'
import { OUT_DTYPES } from '../problem/decode.js'
import { appendKvProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Integers } from './integers.js'
import { launchOnce, opPlan, roundedCapacity } from './op-plans.js'
import { checkIntegers } from './stage-integers.js'
import { checkCache, checkRank, checkScale, checkTensor } from './tensor-args.js'

export interface AppendKvInput {
  /** [tokens, headsKv, headDim − ropeDim]; bf16, f16 or f32. */
  readonly latent: Tensor<FloatDType>
  /** [tokens, headsKv, ropeDim], same dtype; left out when the cache has no rotary part. */
  readonly ropeKey?: Tensor<FloatDType> | null
  /** [tokens] page · pageSize + offset, as `PagedKvCache.append` returns them; −1 skips the token. */
  readonly slots: Integers
  readonly cache: KvStorage
  /** Rotates ropeKey first; left out when the keys come rotated. */
  readonly rotary?: {
    /** `interleaved` pairs (2i, 2i + 1), as DeepSeek's main attention; `neox` pairs (i, i + ropeDim / 2). */
    readonly style: 'interleaved' | 'neox'
    /** f32 [tableLength, ropeDim]: cosines then sines, ropeDim / 2 each. Contiguous. */
    readonly table: Tensor<'f32'>
    /** [tokens] row of the table per token. */
    readonly positions: Integers
  } | null
  /** An e4m3 cache stores x / descaleK. Default 1. */
  readonly descaleK?: number
  readonly stream?: Stream
}

/** See {@link AppendKvProblem}. Slots and positions on the host are checked; a slot on the device is skipped when outside. */
export function appendKv(context: DeviceContext, input: AppendKvInput): void {
  const known = ['latent', 'ropeKey', 'slots', 'cache', 'rotary', 'descaleK', 'stream'] as const
  const { latent, ropeKey = null, cache, rotary = null } = options('input', input, known)
  checkRank('latent', latent, 3)
  if (ropeKey !== null) checkRank('ropeKey', ropeKey, 3)
  if (rotary !== null) {
    checkRank('rotary.table', options('rotary', rotary, ['style', 'table', 'positions']).table, 2)
  }
  const dtype = oneOf('latent.dtype', latent.dtype, OUT_DTYPES)
  const storage = checkCache(context, 'cache', cache)
  const { layout } = cache
  const tokens = latent.shape[0]
  const ropeDim = ropeKey ? ropeKey.shape[2] : 0
  const problem = appendKvProblem({
    maxTokens: roundedCapacity(tokens),
    cache: layout,
    ropeDim,
    dtype,
    rotary: rotary ? oneOf('rotary.style', rotary.style, ['interleaved', 'neox']) : 'none',
    ...(rotary ? { tableLength: rotary.table.shape[0] } : {}),
  })
  const { tableLength } = problem
  checkTensor(context, 'latent', latent, dtype, [tokens, layout.headsKv, layout.headDim - ropeDim], 'strided')
  if (ropeKey) checkTensor(context, 'ropeKey', ropeKey, dtype, [tokens, layout.headsKv, ropeDim], 'strided')
  if (rotary) checkTensor(context, 'rotary.table', rotary.table, 'f32', [tableLength, ropeDim], 'contiguous')
  const descaleK = checkScale('descaleK', input.descaleK, layout.format === 'e4m3')
  const lastSlot = Math.min(layout.pages * layout.pageSize, 2 ** 31) - 1
  const stageSlots = checkIntegers(context, 'slots', input.slots, [tokens], -1, lastSlot)
  const stagePositions =
    rotary && checkIntegers(context, 'rotary.positions', rotary.positions, [tokens], 0, tableLength - 1)
  const stream = context.streamFor(input.stream)
  if (tokens === 0) return

  const plan = opPlan(context, stream, problem)
  using slots = stageSlots(stream)
  using positions = stagePositions?.(stream)
  const args = {
    tokens,
    latent,
    ropeKey,
    slots: slots.tensor,
    positions: positions?.tensor ?? null,
    rotaryTable: rotary?.table ?? null,
    cache: storage,
    descaleK,
  }
  launchOnce(context, stream, plan, args, [
    latent,
    ropeKey,
    args.slots,
    args.positions,
    args.rotaryTable,
    storage,
  ])
}
