import type { BackendBuffer, TensorRef } from '@polymla/core'
import type { NativeBufferHandle } from './addon.js'

/** Device memory at an address that a JavaScript number holds exactly. */
export class NativeBuffer implements BackendBuffer {
  readonly bytes: number
  readonly address: number
  /** Null for memory of somebody else's. */
  readonly handle: NativeBufferHandle | null
  /** Held, so that the device is not collected before the buffer. */
  readonly owner: object

  constructor(owner: object, bytes: number, address: number, handle: NativeBufferHandle | null) {
    this.owner = owner
    this.bytes = bytes
    this.address = address
    this.handle = handle
  }

  get pointer(): bigint {
    return BigInt(this.address)
  }
}

/** The address of a byte of a buffer. */
export function addressIn(buffer: BackendBuffer, offset: number): number {
  return (buffer as NativeBuffer).address + offset
}

/** The address of a tensor's first element; 0, which is NULL, without a tensor. */
export function addressOf(tensor: TensorRef | null): number {
  return tensor === null ? 0 : (tensor.buffer as NativeBuffer).address + tensor.byteOffset
}
