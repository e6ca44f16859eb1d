import { allocate } from '../device/allocate.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { hostArray } from '../dtype/index.js'
import { elementCount } from '../tensor/shape.js'
import { Tensor, type TensorStorage } from '../tensor/tensor.js'

/** One section of a {@link Metadata} block: the same int32 on the host and on the device. */
export interface Section {
  readonly tensor: Tensor<'i32'>
  readonly host: Int32Array
  /** Position in the block, in int32. */
  readonly offset: number
}

/** Sections start at multiples of 256 bytes, so that kernels may load them in vectors. */
const ALIGNMENT = 64

/**
 * The device memory of a plan: int32 metadata in named sections, and scratch behind them, at addresses that never
 * change. One upload sends the host image of the metadata. That is what lets a captured launch see each new step.
 */
export class Metadata<Name extends string> {
  readonly sections: Readonly<Record<Name, Section>>
  /** u8 [workspaceBytes]; null without any. */
  readonly workspace: Tensor<'u8'> | null
  readonly #storage: TensorStorage
  readonly #block: Tensor<'i32'>
  readonly #image: Int32Array

  constructor(
    context: DeviceContext,
    what: string,
    shapes: Readonly<Record<Name, readonly number[]>>,
    workspaceBytes: number,
  ) {
    let length = 0
    const offsets = Object.entries<readonly number[]>(shapes).map(([name, shape]) => {
      const offset = length
      length += Math.ceil(elementCount(shape) / ALIGNMENT) * ALIGNMENT
      return [name, shape, offset] as const
    })
    const bytes = length * 4
    this.#storage = allocate(context, bytes + workspaceBytes, what, 'plan')
    this.#block = new Tensor(this.#storage, 'i32', [length], [1], 0, false)
    this.workspace =
      workspaceBytes > 0 ? new Tensor(this.#storage, 'u8', [workspaceBytes], [1], bytes, false) : null
    try {
      this.#image = hostArray('i32', length)
      this.sections = Object.fromEntries(
        offsets.map(([name, shape, offset]) => [
          name,
          {
            tensor: this.#block.view(shape, { offset }),
            host: this.#image.subarray(offset, offset + elementCount(shape)),
            offset,
          },
        ]),
      ) as Record<Name, Section>
    } catch (error) {
      this.#storage.release()
      throw error
    }
  }

  /** Enqueues the upload of the image, or of its first `length` int32. */
  upload(stream: Stream, length = this.#image.length): void {
    this.#block.slice(0, 0, length).write(this.#image.subarray(0, length), { stream })
  }

  dispose(): void {
    this.#storage.release()
  }
}
