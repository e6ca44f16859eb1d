import {
  type BackendBuffer,
  type BackendDevice,
  type BackendStream,
  hostArray,
  itemSize,
  type TensorRef,
} from '@polymla/core'

/** Host access to device memory, in a stream's order: what injected bugs read and change. */
export class DeviceMemory {
  readonly #device: BackendDevice
  readonly #stream: BackendStream
  readonly #temporary: BackendBuffer[] = []

  constructor(device: BackendDevice, stream: BackendStream) {
    this.#device = device
    this.#stream = stream
  }

  /** The elements of a contiguous tensor. */
  async read<A = Int32Array>(ref: TensorRef): Promise<A> {
    const array = hostArray(ref.dtype, count(ref))
    const bytes = new Uint8Array(array.buffer)
    if (bytes.length === 0) return array as A
    this.#stream.download(ref.buffer, ref.byteOffset, bytes)
    const event = this.#stream.record()
    await event.done()
    event.dispose()
    return array as A
  }

  /** Overwrites a contiguous tensor, or bytes from `offset` elements on. */
  write(ref: TensorRef, elements: ArrayBufferView, offset = 0): void {
    const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength)
    if (bytes.length === 0) return
    this.#stream.upload(ref.buffer, ref.byteOffset + offset * itemSize(ref.dtype), bytes)
  }

  /** A contiguous tensor of its own with these elements, until {@link release}. */
  place(like: TensorRef, elements: ArrayBufferView, shape: readonly number[] = like.shape): TensorRef {
    const buffer = this.#device.alloc(Math.max(elements.byteLength, 1))
    this.#temporary.push(buffer)
    const strides = shape.map((_, dim) => shape.slice(dim + 1).reduce((a, b) => a * b, 1))
    const ref = { dtype: like.dtype, shape, strides, buffer, byteOffset: 0 }
    this.write(ref, elements)
    return ref
  }

  /** A tensor like this one with its elements changed; the original stays as it is. */
  async changed(ref: TensorRef, change: (elements: Int32Array) => void): Promise<TensorRef> {
    const elements = await this.read(ref)
    change(elements)
    return this.place(ref, elements)
  }

  release(): void {
    for (const buffer of this.#temporary.splice(0)) this.#device.free(buffer)
  }
}

function count({ shape }: TensorRef): number {
  return shape.reduce((a, b) => a * b, 1)
}
