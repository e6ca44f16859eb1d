import { type DType, type HostArray, hostArray, itemSize, type TensorRef } from '@polymla/core'
import type { ReferenceBuffer } from './buffer.js'

/** A tensor as kernels see it: a {@link TensorRef} over memory that every thread can reach. */
export interface View {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly memory: SharedArrayBuffer
  readonly byteOffset: number
}

/** Launch arguments with every tensor as a {@link View}. */
export type Viewed<A> = {
  readonly [K in keyof A]: Exclude<A[K], TensorRef> | (Extract<A[K], TensorRef> extends never ? never : View)
}

/** Copies launch arguments, which their owner reuses, into a form that can be sent to a worker. */
export function viewed<A extends object>(args: A): Viewed<A> {
  const entries = Object.entries(args).map(([name, value]) => [
    name,
    isTensorRef(value) ? view(value) : value,
  ])
  return Object.fromEntries(entries) as Viewed<A>
}

function isTensorRef(value: unknown): value is TensorRef {
  return typeof value === 'object' && value !== null && 'buffer' in value
}

function view({ dtype, shape, strides, buffer, byteOffset }: TensorRef): View {
  const { block } = buffer as ReferenceBuffer
  return {
    dtype,
    shape: [...shape],
    strides: [...strides],
    memory: block.memory,
    byteOffset: block.byteOffset + byteOffset,
  }
}

/** The elements along the last dimension at an index of the leading ones. */
export function vector(view: View, ...index: number[]): HostArray {
  let element = 0
  for (let i = 0; i < index.length; i++) element += index[i] * view.strides[i]
  const { dtype, memory, byteOffset, shape } = view
  return hostArray(dtype, memory, byteOffset + element * itemSize(dtype), shape[shape.length - 1])
}

/** All elements of a contiguous i32 tensor. */
export function integers(view: View): Int32Array {
  return new Int32Array(
    view.memory,
    view.byteOffset,
    view.shape.reduce((product, size) => product * size, 1),
  )
}
