import {
  type DType,
  type HostArray,
  hostArray,
  itemSize,
  type KvLayout,
  type KvStorage,
  type Stream,
  storageDType,
  storageShape,
  storageStrides,
  type Tensor,
} from '@polymla/core'
import { type Bench, check } from './case.js'
import { bytesOf } from './host-cache.js'

/** Bytes of poison around an output: a multiple of every alignment a kernel may want. */
const GUARD_BYTES = 1024
const POISON = 0xff

/** An output tensor in the middle of a poisoned one. */
export interface GuardedOutput<D extends DType> {
  readonly tensor: Tensor<D>
  /** Makes everything NaN again, in the stream's order. */
  poison(stream?: Stream): void
  /** The output; throws when something was written around it. */
  download(stream?: Stream): Promise<HostArray<D>>
}

/** Memory for an output, all NaN, with guards on both sides that no kernel may touch. */
export function guardedOutput<D extends DType>(
  bench: Bench,
  name: string,
  dtype: D,
  shape: readonly number[],
): GuardedOutput<D> {
  const count = shape.reduce((a, b) => a * b, 1)
  const guard = GUARD_BYTES / itemSize(dtype)
  const flat = bench.own(bench.device.empty({ shape: [count + 2 * guard], dtype }))
  const poison = (stream?: Stream) => flat.fillBytes(POISON, on(stream))
  poison()
  return {
    tensor: flat.view(shape, { offset: guard }),
    poison,
    async download(stream) {
      const signal = bench.signal ? { signal: bench.signal } : {}
      const all: HostArray = await flat.download({ ...on(stream), ...signal })
      const bytes = bytesOf(all)
      for (const begin of [0, bytes.length - GUARD_BYTES]) {
        const touched = bytes.subarray(begin, begin + GUARD_BYTES).findIndex((byte) => byte !== POISON)
        check(touched < 0, `${name}: memory ${begin === 0 ? 'before' : 'after'} the tensor was written to`)
      }
      return all.subarray(guard, guard + count) as HostArray<D>
    },
  }
}

/** Uploads a row-major tensor. */
export function upload<D extends DType>(
  bench: Bench,
  dtype: D,
  shape: readonly number[],
  data: HostArray<D>,
): Tensor<D> {
  const tensor = bench.own(bench.device.upload(data, { shape, dtype }))
  bench.watch?.(tensor, data)
  return tensor
}

/**
 * Uploads a tensor so that its first two dimensions are exchanged in memory and that NaN lies between its rows: any
 * kernel that assumes a row-major layout reads the wrong numbers.
 */
export function uploadStrided<D extends DType>(
  bench: Bench,
  dtype: D,
  shape: readonly number[],
  data: HostArray<D>,
): Tensor<D> {
  const width = shape[shape.length - 1]
  const pitch = width + 32
  const inner = shape.slice(2, -1).reduce((a, b) => a * b, 1)
  const [first, second] = shape
  const padded = hostArray(dtype, first * second * inner * pitch)
  bytesOf(padded).fill(dtype === 'e4m3' ? 0x7f : POISON)
  for (let i = 0; i < first; i++) {
    for (let j = 0; j < second; j++) {
      for (let k = 0; k < inner; k++) {
        const from = ((i * second + j) * inner + k) * width
        padded.set(data.subarray(from, from + width) as never, ((j * first + i) * inner + k) * pitch)
      }
    }
  }
  const flat = upload(bench, dtype, [padded.length], padded)
  const strides = shape.map((_, dim) => {
    if (dim === 0) return inner * pitch
    if (dim === 1) return dim === shape.length - 1 ? 1 : first * inner * pitch
    return dim === shape.length - 1 ? 1 : shape.slice(dim + 1, -1).reduce((a, b) => a * b, pitch)
  })
  bench.givesStrides?.()
  return flat.view(shape, { strides })
}

/** Uploads the storage of a cache, gaps included. `flat` shows every byte of it. */
export function uploadStorage(
  bench: Bench,
  layout: KvLayout,
  storage: HostArray,
): { readonly cache: KvStorage; readonly flat: Tensor } {
  const flat = upload(bench, storageDType(layout), [storage.length], storage)
  const view = flat.view(storageShape(layout), { strides: storageStrides(layout) })
  return { cache: bench.device.adoptKvStorage(view, layout), flat }
}

/** `{ stream }` for calls that take one. */
export function on(stream: Stream | undefined): { stream?: Stream } {
  return stream ? { stream } : {}
}
