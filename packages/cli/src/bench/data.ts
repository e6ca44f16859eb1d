import {
  type FloatDType,
  fromFloat32,
  type HostArray,
  hostArray,
  type KvStorage,
  kvLayout,
  storageLength,
  type Tensor,
  writeToken,
} from '@polymla/core'
import { PythonRandom } from './python-random.js'

/** Numbers drawn before they repeat: enough that no two cache lines near each other agree. */
const BLOCK = 2 ** 20
const PACKED_BLOCK_PAGES = 16

/** Fills a contiguous tensor with N(0, 0.1), which keeps softmax and accumulation in the range of real layers. */
export function fillNormal(tensor: Tensor<FloatDType>, random: PythonRandom): void {
  const values = Float32Array.from({ length: Math.min(tensor.size, BLOCK) }, () => random.normal(0, 0.1))
  repeat(tensor, fromFloat32(values, tensor.dtype))
}

/** Fills a cache, packed or plain, with N(0, 0.1). */
export function fillCache({ layout, tensor }: KvStorage, random: PythonRandom): void {
  if (tensor.dtype !== 'u8') return fillNormal(tensor as Tensor<FloatDType>, random)
  const block = kvLayout({ ...layout, pages: Math.min(layout.pages, PACKED_BLOCK_PAGES) })
  const bytes = hostArray('u8', storageLength(block))
  const token = new Float32Array(layout.headDim)
  for (let page = 0; page < block.pages; page++) {
    for (let offset = 0; offset < block.pageSize; offset++) {
      for (let i = 0; i < token.length; i++) token[i] = random.normal(0, 0.1)
      writeToken(block, bytes, page, offset, 0, token, 0)
    }
  }
  repeat(tensor, bytes)
}

/** Integers from 0 to `count` − 1 in random order; the first `chosen` places are enough for a sample. */
export function shuffled(count: number, random: PythonRandom, chosen = count): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  for (let i = 0; i < chosen; i++) {
    const j = i + Math.floor(random.random() * (count - i))
    const other = order[j]
    order[j] = order[i]
    order[i] = other
  }
  return order.subarray(0, chosen)
}

function repeat(tensor: Tensor, block: HostArray): void {
  const flat = tensor.view([tensor.size])
  for (let begin = 0; begin < tensor.size; begin += block.length) {
    const end = Math.min(begin + block.length, tensor.size)
    flat.slice(0, begin, end).write(block.subarray(0, end - begin))
  }
}
