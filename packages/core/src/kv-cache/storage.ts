import type { Tensor } from '../tensor/tensor.js'
import type { KvLayout } from './formats.js'

/**
 * The memory of one layer's KV cache: pages of packed tokens in the layout's format. `tensor` has the layout's
 * `storageShape` and `storageStrides`.
 */
export class KvStorage {
  readonly layout: KvLayout
  readonly tensor: Tensor

  /** @internal Storage comes from `device.createKvStorage` or `device.adoptKvStorage`. */
  constructor(layout: KvLayout, tensor: Tensor) {
    this.layout = layout
    this.tensor = tensor
  }

  /** Disposes the tensor. Idempotent. */
  dispose(): void {
    this.tensor.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
