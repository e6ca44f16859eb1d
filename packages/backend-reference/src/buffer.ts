import type { BackendBuffer } from '@polymla/core'
import type { Block } from './arena.js'

/** Device memory of the reference backend. */
export class ReferenceBuffer implements BackendBuffer {
  readonly bytes: number
  readonly block: Block

  constructor(bytes: number, block: Block) {
    this.bytes = bytes
    this.block = block
  }
}

/** `bytes` bytes of a buffer, from `offset` on. */
export function bytesOf(buffer: BackendBuffer, offset: number, bytes: number): Block {
  const { memory, byteOffset } = (buffer as ReferenceBuffer).block
  return { memory, byteOffset: byteOffset + offset, bytes }
}
