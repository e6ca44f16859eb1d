import { invalidArgument, inWords } from '../errors.js'
import { type KvFormat, kvLayout } from '../kv-cache/formats.js'
import { KvStorage } from '../kv-cache/storage.js'
import { checkStorageTensor } from '../ops/tensor-args.js'
import type { Tensor } from '../tensor/tensor.js'

/** A FlashMLA cache tensor as storage: its format follows from its dtype and, for bytes, the width of a token. */
export function storageOf(path: string, tensor: Tensor, headDim: number): KvStorage {
  const [pages, pageSize, headsKv, width] = tensor.shape
  if (tensor.dtype !== 'u8' && width !== headDim) {
    throw invalidArgument(`${path}.shape[3]`, `the head dim ${headDim} of q`, width)
  }
  const layout = kvLayout({
    format: formatOf(path, tensor),
    pages,
    pageSize,
    headsKv,
    headDim,
    pageStride: tensor.strides[0],
  })
  checkStorageTensor(tensor.context, path, tensor, layout)
  return new KvStorage(layout, tensor)
}

function formatOf(path: string, { dtype, shape }: Tensor): KvFormat {
  switch (dtype) {
    case 'bf16':
    case 'f32':
    case 'e4m3':
      return dtype
    case 'f16':
      return 'fp16'
    default:
      if (dtype === 'u8' && (shape[3] === 656 || shape[3] === 584)) return `fp8-${shape[3]}`
      throw invalidArgument(
        path,
        'bf16, f16, f32, e4m3, or u8 with 656 or 584 bytes per token',
        inWords(`${dtype} [${shape}]`),
      )
  }
}
