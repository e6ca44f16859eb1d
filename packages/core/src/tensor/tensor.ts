import type { BackendBuffer, TensorRef } from '../backend/index.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { type DType, type HostArray, type HostData, hostArray, itemSize } from '../dtype/index.js'
import { disposedError, invalidArgument, inWords, PolymlaError } from '../errors.js'
import { integer, options as known } from '../problem/checks.js'
import { hostBytes } from './host-bytes.js'
import {
  checkShape,
  checkStrides,
  contiguousStrides,
  elementCount,
  elementSpan,
  isContiguous,
} from './shape.js'

/** One allocation and everything that views it. */
export interface TensorStorage {
  readonly context: DeviceContext
  readonly buffer: BackendBuffer
  disposed: boolean
  release(): void
}

/**
 * A strided view of device memory. The tensor that made the allocation owns it: disposing it ends all its views;
 * disposing a view ends the view alone. Work enqueued before keeps the memory until it is done.
 */
export class Tensor<D extends DType = DType> implements TensorRef {
  readonly dtype: D
  readonly shape: readonly number[]
  /** In elements; the last one is 1. */
  readonly strides: readonly number[]
  readonly byteOffset: number
  readonly #storage: TensorStorage
  readonly #owner: boolean
  #disposed = false

  /** @internal Tensors come from a device or another tensor. */
  constructor(
    storage: TensorStorage,
    dtype: D,
    shape: readonly number[],
    strides: readonly number[],
    byteOffset: number,
    owner: boolean,
  ) {
    this.#storage = storage
    this.dtype = dtype
    this.shape = shape
    this.strides = strides
    this.byteOffset = byteOffset
    this.#owner = owner
  }

  /** Id of the device it lives on. */
  get device(): string {
    return this.#storage.context.id
  }

  get disposed(): boolean {
    return this.#disposed || this.#storage.disposed || this.#storage.context.disposed
  }

  /** The backend's memory. Throws `POLYMLA_DISPOSED`. */
  get buffer(): BackendBuffer {
    if (this.disposed) throw disposedTensor(this)
    return this.#storage.buffer
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape)
  }

  /** Device address of the first element. Throws `POLYMLA_UNSUPPORTED` where the device has none. */
  get pointer(): bigint {
    const base = this.buffer.pointer
    if (base === undefined) {
      throw new PolymlaError(
        'POLYMLA_UNSUPPORTED',
        `tensor.pointer: device ${this.device} has no addresses`,
        {
          device: this.device,
        },
      )
    }
    return base + BigInt(this.byteOffset)
  }

  get contiguous(): boolean {
    return isContiguous(this.shape, this.strides)
  }

  /** @internal */
  get context(): DeviceContext {
    return this.#storage.context
  }

  /** Rows `begin` to `end` (exclusive) of one dimension, as a view. */
  slice(dim: number, begin: number, end: number): Tensor<D> {
    integer('dim', dim, 0, this.shape.length - 1)
    integer('end', end, 0, this.shape[dim])
    integer('begin', begin, 0, end)
    const shape = this.shape.with(dim, end - begin)
    return this.#view(shape, this.strides, this.byteOffset + begin * this.strides[dim] * itemSize(this.dtype))
  }

  /**
   * Any view inside this tensor's elements: strides in elements (default: row-major; the last must be 1), `offset` in
   * elements from this tensor's first. A tensor that is not contiguous can only be viewed with explicit strides.
   */
  view(shape: readonly number[], layout: { strides?: readonly number[]; offset?: number } = {}): Tensor<D> {
    const { strides: given, offset = 0 } = known('layout', layout, ['strides', 'offset'])
    const extents = checkShape('shape', shape)
    if (!given && !this.contiguous) {
      throw invalidArgument('strides', 'strides, since the tensor is not contiguous', given)
    }
    const strides = checkStrides(extents, given ?? contiguousStrides(extents))
    const span = elementSpan(extents, strides)
    const available = elementSpan(this.shape, this.strides)
    if (integer('offset', offset, 0) + span > available) {
      throw invalidArgument(
        'view',
        `elements within the ${available} of this tensor`,
        inWords(`[${offset}, ${offset + span})`),
      )
    }
    return this.#view(extents, strides, this.byteOffset + offset * itemSize(this.dtype))
  }

  /**
   * Enqueues a copy of host data into this contiguous tensor. The data is the caller's again at once, so it is copied
   * before the call returns: write what is very large in slices.
   */
  write(data: HostData<D>, options: { stream?: Stream } = {}): void {
    const context = this.#storage.context
    const bytes = hostBytes('data', data, this.dtype, this.size)
    this.#requireContiguous('write')
    const buffer = this.buffer
    const stream = context.streamFor(known('options', options, ['stream']).stream)
    context.notCapturing('upload')
    if (bytes.byteLength > 0) stream.backend.upload(buffer, this.byteOffset, bytes)
  }

  /** Enqueues a fill with one byte value, e.g. 0xff to poison. */
  fillBytes(value: number, options: { stream?: Stream } = {}): void {
    const { stream: given } = known('options', options, ['stream'])
    this.#requireContiguous('fillBytes')
    integer('value', value, 0, 255)
    const bytes = this.size * itemSize(this.dtype)
    const buffer = this.buffer
    if (bytes === 0) return
    this.#storage.context.enqueue(given, [this], (stream) =>
      stream.fill(buffer, this.byteOffset, bytes, value),
    )
  }

  /**
   * Copies the elements to the host once earlier work on the stream is done: raw bits for bf16 and f16 (`Uint16Array`)
   * and e4m3 (`Uint8Array`). A strided tensor arrives row-major. Rejects with `POLYMLA_ABORTED` when the signal fires.
   */
  async download(options: { stream?: Stream; signal?: AbortSignal } = {}): Promise<HostArray<D>> {
    const context = this.#storage.context
    const buffer = this.buffer
    const { stream: given, ...waiting } = known('options', options, ['stream', 'signal'])
    const stream = context.streamFor(given)
    context.notCapturing('download')
    const span = elementSpan(this.shape, this.strides)
    const staged = hostArray(this.dtype, span)
    const bytes = new Uint8Array(staged.buffer, staged.byteOffset, staged.byteLength)
    if (span > 0) stream.backend.download(buffer, this.byteOffset, bytes)
    await stream.synchronize(waiting)
    return this.contiguous ? staged : gather(staged, this.dtype, this.shape, this.strides)
  }

  /** Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    if (this.#owner) this.#storage.release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #requireContiguous(call: string): void {
    if (!this.contiguous)
      throw invalidArgument(call, 'a contiguous tensor', inWords(`strides [${this.strides.join(', ')}]`))
  }

  #view(shape: readonly number[], strides: readonly number[], byteOffset: number): Tensor<D> {
    if (this.disposed) throw disposedTensor(this)
    return new Tensor(this.#storage, this.dtype, Object.freeze(shape), strides, byteOffset, false)
  }
}

export function disposedTensor(tensor: Tensor): PolymlaError {
  const what = `the ${tensor.dtype} tensor [${tensor.shape.join(', ')}]`
  return disposedError(what, tensor.device, 'it, or its device, was disposed')
}

/** Elements that are copied before the event loop gets its turn. */
const GATHERED_AT_ONCE = 2 ** 20

/** Row-major copy of the elements that strides pick from `source`. */
async function gather<D extends DType>(
  source: HostArray<D>,
  dtype: D,
  shape: readonly number[],
  strides: readonly number[],
): Promise<HostArray<D>> {
  const result = hostArray(dtype, elementCount(shape))
  const row = shape[shape.length - 1]
  const index = new Array<number>(shape.length - 1).fill(0)
  let from = 0
  let pause = GATHERED_AT_ONCE
  for (let to = 0; to < result.length; to += row) {
    if (to >= pause) {
      await new Promise((resolve) => setTimeout(resolve))
      pause = to + GATHERED_AT_ONCE
    }
    result.set(source.subarray(from, from + row) as never, to)
    for (let dim = index.length - 1; dim >= 0; dim--) {
      from += strides[dim]
      if (++index[dim] < shape[dim]) break
      from -= shape[dim] * strides[dim]
      index[dim] = 0
    }
  }
  return result
}
