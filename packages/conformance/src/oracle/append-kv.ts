import { type AppendKvProblem, decodeInto, type FloatDType, type HostArray, writeToken } from '@polymla/core'

/** Everything an append computes from, on the host. */
export interface AppendInputs {
  readonly problem: AppendKvProblem
  readonly tokens: number
  /** [tokens, headsKv, headDim − ropeDim] */
  readonly latent: HostArray<FloatDType>
  /** [tokens, headsKv, ropeDim]; null when ropeDim is 0. */
  readonly ropeKey: HostArray<FloatDType> | null
  /** [tokens] */
  readonly slots: Int32Array
  /** [tokens] and [tableLength, ropeDim]; null when rotary is `none`. */
  readonly positions: Int32Array | null
  readonly table: Float32Array | null
  /** The cache before. */
  readonly storage: HostArray
  readonly descaleK: number
}

export interface AppendExpected {
  /** The cache afterwards. */
  readonly storage: HostArray
  /** What each token with a slot in the cache becomes, before it is quantised: [tokens with a slot, headsKv, headDim] */
  readonly keys: readonly Float64Array[]
}

/** The cache afterwards, from the definition in `AppendKvProblem`. */
export function appendOracle(inputs: AppendInputs): AppendExpected {
  const { problem, tokens, slots, descaleK } = inputs
  const { cache, ropeDim, dtype } = problem
  const storage = inputs.storage.slice()
  const latentDim = cache.headDim - ropeDim
  const keys: Float64Array[] = []
  for (let token = 0; token < tokens; token++) {
    const slot = slots[token]
    if (slot < 0 || slot >= cache.pages * cache.pageSize) continue
    for (let head = 0; head < cache.headsKv; head++) {
      const at = token * cache.headsKv + head
      const row = new Float64Array(cache.headDim)
      decodeInto(inputs.latent, at * latentDim, row, 0, latentDim, dtype)
      if (inputs.ropeKey) {
        const key = new Float64Array(ropeDim)
        decodeInto(inputs.ropeKey, at * ropeDim, key, 0, ropeDim, dtype)
        row.set(rotated(key, token, inputs), latentDim)
      }
      const page = Math.floor(slot / cache.pageSize)
      writeToken(cache, storage, page, slot % cache.pageSize, head, row, 0, descaleK)
      keys.push(row)
    }
  }
  return { storage, keys }
}

function rotated(key: Float64Array, token: number, inputs: AppendInputs): Float64Array {
  const { problem, positions, table } = inputs
  if (!positions || !table) return key
  const { ropeDim, rotary } = problem
  const pairs = ropeDim / 2
  const result = new Float64Array(ropeDim)
  for (let i = 0; i < pairs; i++) {
    const [first, second] = rotary === 'interleaved' ? [2 * i, 2 * i + 1] : [i, i + pairs]
    const cosine = table[positions[token] * ropeDim + i]
    const sine = table[positions[token] * ropeDim + pairs + i]
    result[first] = key[first] * cosine - key[second] * sine
    result[second] = key[second] * cosine + key[first] * sine
  }
  return result
}
