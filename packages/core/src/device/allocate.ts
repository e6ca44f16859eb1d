import { type DType, itemSize } from '../dtype/index.js'
import { PolymlaError, withArticle } from '../errors.js'
import { contiguousStrides, elementSpan } from '../tensor/shape.js'
import { Tensor, type TensorStorage } from '../tensor/tensor.js'
import type { DeviceContext } from './context.js'
import type { HandleKind } from './ledger.js'

/**
 * Reserves device memory for a handle and counts it. `what` names the handle in error messages and leak reports. Zero
 * bytes take no device memory: the buffer is a placeholder that backends never see used.
 */
export function allocate(
  context: DeviceContext,
  bytes: number,
  what: string,
  kind: HandleKind = 'tensor',
): TensorStorage {
  context.assertLive()
  context.notCapturing('allocation')
  if (!Number.isSafeInteger(bytes)) {
    throw new PolymlaError('POLYMLA_OUT_OF_MEMORY', `${what} is larger than any device`, {
      device: context.id,
      fix: 'Use a smaller shape',
    })
  }
  const buffer = context.backend.alloc(Math.max(bytes, 1))
  const { ledger } = context
  ledger.allocated(bytes)
  ledger.opened(kind)
  const storage: TensorStorage = {
    context,
    buffer,
    disposed: false,
    release() {
      if (storage.disposed) return
      storage.disposed = true
      ledger.freed(bytes)
      ledger.closed(kind)
      ledger.forget(storage)
      if (!context.disposed) context.backend.free(buffer)
    },
  }
  ledger.watch(storage, what)
  return storage
}

/** A tensor with an allocation of its own: uninitialised, row-major unless strides say otherwise. */
export function newTensor<D extends DType>(
  context: DeviceContext,
  dtype: D,
  shape: readonly number[],
  strides: readonly number[] = contiguousStrides(shape),
): Tensor<D> {
  const bytes = elementSpan(shape, strides) * itemSize(dtype)
  const storage = allocate(context, bytes, withArticle(`${dtype} tensor [${shape.join(', ')}]`))
  return new Tensor(storage, dtype, Object.freeze([...shape]), Object.freeze([...strides]), 0, true)
}

/** Fills a new tensor; frees it again if that throws. */
export function filled<D extends DType>(tensor: Tensor<D>, fill: (tensor: Tensor<D>) => void): Tensor<D> {
  try {
    fill(tensor)
  } catch (error) {
    tensor.dispose()
    throw error
  }
  return tensor
}
