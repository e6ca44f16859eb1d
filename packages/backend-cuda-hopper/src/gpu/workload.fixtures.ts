import { normalArray, Random } from '@polymla/conformance'
import {
  type DecodeOptions,
  type DecodePlan,
  type Device,
  type KvLayout,
  kvLayout,
  type Tensor,
} from '@polymla/core'

export interface Workload extends Disposable {
  readonly plan: DecodePlan
  readonly cache: Tensor
  readonly layout: KvLayout
  readonly table: Int32Array
  readonly out: Tensor<'bf16'>
  readonly lse: Tensor<'f32'>
  update(lengths: readonly number[]): void
  run(): void
}

/** A bf16 decode of so many requests, each with `width` pages of its own in random order, over random numbers. */
export function workload(
  device: Device,
  given: Partial<DecodeOptions> & { batch: number; width: number; heads: number; seed?: number },
): Workload {
  const { batch, width, heads, seed = 0, ...options } = given
  const random = new Random(seed)
  const layout = kvLayout({ format: 'bf16', pages: Math.max(batch * width, 1) })
  const queryTokens = options.queryTokens ?? 1
  const plan = device.planDecode({
    softmaxScale: 576 ** -0.5,
    ...options,
    maxBatch: batch,
    heads,
    cache: layout,
    blockTableWidth: width,
  })
  const storage = device.createKvStorage(layout)
  fillRandom(storage.tensor, random)
  const q = device.upload(normalArray(random, 'bf16', batch * queryTokens * heads * 576, 0.5), {
    shape: [batch, queryTokens, heads, 576],
    dtype: 'bf16',
  })
  const out = device.empty({ shape: [batch, queryTokens, heads, 512], dtype: 'bf16' })
  const lse = device.empty({ shape: [batch, heads, queryTokens], dtype: 'f32' })
  const table = random.permutation(batch * width)
  return {
    plan,
    cache: storage.tensor,
    layout,
    table,
    out,
    lse,
    update: (lengths) => void plan.update({ seqlens: Int32Array.from(lengths), blockTable: table }),
    run: () => plan.run({ q, cache: storage, out, lse }),
    [Symbol.dispose]() {
      for (const owned of [plan, storage, q, out, lse]) owned[Symbol.dispose]()
    },
  }
}

const BLOCK = 2 ** 22

/** Fills a contiguous 16-bit tensor with normally distributed bf16, which repeat far apart. */
export function fillRandom(tensor: Tensor, random: Random): void {
  const block = normalArray(random, 'bf16', Math.min(tensor.size, BLOCK), 0.1, 1)
  const flat = tensor.view([tensor.size])
  for (let begin = 0; begin < tensor.size; begin += block.length) {
    const end = Math.min(begin + block.length, tensor.size)
    flat.slice(0, begin, end).write(block.subarray(0, end - begin))
  }
}

/** Makes a tensor NaN, so that what is not written shows. */
export const poison = (tensor: Tensor) => tensor.fillBytes(0xff)

/** The bits of the results of a run. */
export async function bitsOf({
  out,
  lse,
}: Pick<Workload, 'out' | 'lse'>): Promise<[Uint16Array, Float32Array]> {
  return [(await out.download()) as Uint16Array, await lse.download()]
}
