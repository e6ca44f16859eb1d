import type { DeviceContext } from '../device/context.js'
import type { DType } from '../dtype/index.js'
import { invalidArgument, inWords, withArticle } from '../errors.js'
import { type KvLayout, storageDType, storageShape, storageStrides } from '../kv-cache/formats.js'
import { KvStorage } from '../kv-cache/storage.js'
import { disposedTensor, Tensor } from '../tensor/tensor.js'

/** Checks that an argument is a tensor of so many dimensions, whose extents may then be read. */
export function checkRank(path: string, tensor: Tensor, rank: number): void {
  if (!(tensor instanceof Tensor)) throw invalidArgument(path, 'a tensor', tensor)
  if (tensor.shape.length !== rank) {
    throw invalidArgument(path, `${rank} dimensions`, inWords(`[${tensor.shape.join(', ')}]`))
  }
}

/**
 * Checks one tensor argument against what the problem asks for: a live tensor of this device, dtype, shape, and layout
 * (last stride 1, outer strides free; or contiguous). Throws `POLYMLA_INVALID_ARGUMENT` or `POLYMLA_DISPOSED`.
 */
export function checkTensor<D extends DType>(
  context: DeviceContext,
  path: string,
  tensor: Tensor<D>,
  dtype: D,
  shape: readonly number[],
  layout: 'strided' | 'contiguous',
): void {
  if (!(tensor instanceof Tensor)) throw invalidArgument(path, withArticle(`${dtype} tensor`), tensor)
  if (tensor.disposed) throw disposedTensor(tensor)
  if (tensor.context !== context) {
    throw invalidArgument(
      path,
      `a tensor of this device, ${context.id}`,
      inWords(`one of another, ${tensor.device}`),
    )
  }
  if (tensor.dtype !== dtype) throw invalidArgument(path, `dtype ${dtype}`, tensor.dtype)
  if (tensor.shape.length !== shape.length) {
    throw invalidArgument(path, `shape [${shape.join(', ')}]`, inWords(`[${tensor.shape.join(', ')}]`))
  }
  for (let i = 0; i < shape.length; i++) {
    if (tensor.shape[i] !== shape[i]) {
      throw invalidArgument(
        `${path}.shape[${i}]`,
        `${shape[i]}`,
        inWords(`${tensor.shape[i]} of [${tensor.shape.join(', ')}]`),
      )
    }
  }
  if (layout === 'contiguous' && !tensor.contiguous) {
    throw invalidArgument(path, 'a contiguous tensor', inWords(`strides [${tensor.strides.join(', ')}]`))
  }
}

/** As {@link checkTensor}, for an argument that must be there exactly when `wanted`; returns null when it is not. */
export function checkOptional<D extends DType>(
  context: DeviceContext,
  path: string,
  tensor: Tensor<D> | null | undefined,
  wanted: boolean,
  dtype: D,
  shape: readonly number[],
): Tensor<D> | null {
  const absent = tensor === undefined || tensor === null
  if (!wanted) {
    if (!absent) throw invalidArgument(path, 'nothing, as the problem declares none', tensor)
    return null
  }
  if (absent)
    throw invalidArgument(
      path,
      `${withArticle(dtype)} tensor [${shape.join(', ')}], as the problem declares one`,
      tensor,
    )
  checkTensor(context, path, tensor, dtype, shape, 'contiguous')
  return tensor
}

/** Checks that a cache is live and, given a problem's layout, what that was made for; returns its tensor. */
export function checkCache(
  context: DeviceContext,
  path: string,
  cache: KvStorage,
  layout?: KvLayout,
): Tensor {
  if (!(cache instanceof KvStorage)) {
    const fix = 'Pass a layer of the cache, such as cache.layers[0]'
    throw invalidArgument(path, 'the storage of a KV cache', cache, fix)
  }
  const found = cache.layout
  if (layout && found !== layout) {
    for (const name of ['format', 'pages', 'pageSize', 'headsKv', 'headDim', 'pageStride'] as const) {
      if (found[name] !== layout[name]) {
        throw invalidArgument(`${path}.layout.${name}`, `the problem's ${layout[name]}`, found[name])
      }
    }
  }
  const tensor = cache.tensor
  if (tensor.disposed) throw disposedTensor(tensor)
  if (tensor.context !== context) {
    throw invalidArgument(
      path,
      `a cache on this device, ${context.id}`,
      inWords(`one on another, ${tensor.device}`),
    )
  }
  return tensor
}

/** Checks that a tensor has the dtype, shape and strides that a cache layout asks for. */
export function checkStorageTensor(
  context: DeviceContext,
  path: string,
  tensor: Tensor,
  layout: KvLayout,
): void {
  const shape = storageShape(layout)
  const strides = storageStrides(layout)
  checkTensor(context, path, tensor, storageDType(layout), shape, 'strided')
  for (let i = 0; i < 4; i++) {
    if (tensor.strides[i] !== strides[i] && shape[i] > 1) {
      throw invalidArgument(
        path,
        `strides [${strides.join(', ')}]`,
        inWords(`[${tensor.strides.join(', ')}]`),
      )
    }
  }
}

/** The scale of an e4m3 operand: a finite number > 0, 1 unless given. Of an operand that is no plain e4m3, 1. */
export function checkScale(path: string, value: number | undefined, isE4m3: boolean): number {
  if (value === undefined) return 1
  if (typeof value !== 'number' || !(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw invalidArgument(path, 'a finite number > 0', value)
  }
  if (!isE4m3 && value !== 1) throw invalidArgument(path, '1, as what it scales is not e4m3', value)
  return value
}
