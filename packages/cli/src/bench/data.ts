import { fillTokens, normalArray, type Random } from '@polymla/conformance'
import {
  type FloatDType,
  type HostArray,
  hostArray,
  type KvStorage,
  kvLayout,
  storageLength,
  type Tensor,
} from '@polymla/core'

/** Numbers drawn before they repeat: enough that nothing near each other in memory agrees. */
const BLOCK = 2 ** 20
const PACKED_BLOCK_PAGES = 16
/** Spread that keeps softmax and accumulation in the range of real layers. */
const SIGMA = 0.1

/** Fills a contiguous tensor with normally distributed numbers. */
export function fillNormal(tensor: Tensor<FloatDType>, random: Random): void {
  repeat(tensor, normalArray(random, tensor.dtype, Math.min(tensor.size, BLOCK), SIGMA))
}

/** Fills every token of a cache, packed or plain, with normally distributed numbers. */
export function fillCache({ layout, tensor }: KvStorage, random: Random): void {
  if (tensor.dtype !== 'u8') {
    fillNormal(tensor as Tensor<FloatDType>, random)
    return
  }
  const block = kvLayout({ ...layout, pages: Math.min(layout.pages, PACKED_BLOCK_PAGES) })
  const bytes = hostArray('u8', storageLength(block))
  for (let page = 0; page < block.pages; page++) fillTokens(random, block, bytes, page, 0, block.pageSize)
  repeat(tensor, bytes)
}

/** Draws distinct integers below `count`; each draw is a new one. The result is valid until the next draw. */
export function sampler(count: number, random: Random): (size: number) => Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  return (size) => {
    for (let i = 0; i < size; i++) {
      const j = random.integer(i, count - 1)
      const other = order[j]
      order[j] = order[i]
      order[i] = other
    }
    return order.subarray(0, size)
  }
}

function repeat(tensor: Tensor, block: HostArray): void {
  const flat = tensor.view([tensor.size])
  for (let begin = 0; begin < tensor.size; begin += block.length) {
    const end = Math.min(begin + block.length, tensor.size)
    flat.slice(0, begin, end).write(block.subarray(0, end - begin))
  }
}
