import type { Block } from '../arena.js'
import type { Kernel } from './kernel.js'

/** Bytes that one unit copies or fills. */
const CHUNK = 4 * 2 ** 20

export interface CopyArgs {
  readonly source: Block
  readonly target: Block
}

export interface FillArgs {
  readonly target: Block
  readonly value: number
}

export const copyBytes: Kernel<null, CopyArgs> = [
  {
    units: (_, { target }) => Math.ceil(target.bytes / CHUNK),
    run: (_, { source, target }, unit) => chunk(target, unit).set(chunk(source, unit)),
  },
]

export const fillBytes: Kernel<null, FillArgs> = [
  {
    units: (_, { target }) => Math.ceil(target.bytes / CHUNK),
    run: (_, { target, value }, unit) => void chunk(target, unit).fill(value),
  },
]

function chunk({ memory, byteOffset, bytes }: Block, unit: number): Uint8Array {
  const begin = unit * CHUNK
  return new Uint8Array(memory, byteOffset + begin, Math.min(CHUNK, bytes - begin))
}
