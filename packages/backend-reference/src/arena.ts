import { totalmem } from 'node:os'
import { PolymlaError } from '@polymla/core'

/** A piece of shared memory. */
export interface Block {
  readonly memory: SharedArrayBuffer
  readonly byteOffset: number
  readonly bytes: number
}

const ALIGNMENT = 256
/** Small blocks share slabs of this size; the system backs only the parts that were touched. */
const SLAB_BYTES = 64 * 2 ** 20

/**
 * Device memory: blocks cut first-fit out of a few large SharedArrayBuffers.
 *
 * An engine does not know how much memory a dead SharedArrayBuffer holds, and each worker that saw one keeps its own
 * reference, so garbage collection alone lets freed memory pile up until the process is killed. Slabs are therefore
 * reused, and only those without a live block are left to the collector.
 */
export class Arena {
  readonly limitBytes: number
  #slabs: Slab[] = []
  #liveBytes = 0

  constructor(limitBytes = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY)) {
    this.limitBytes = limitBytes
  }

  get freeBytes(): number {
    return this.limitBytes - this.#liveBytes
  }

  /** Reserves `bytes` > 0, uninitialised. Throws `POLYMLA_OUT_OF_MEMORY`. */
  allocate(bytes: number): Block {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    this.#slabs = this.#slabs.filter((slab) => slab.memory !== undefined)
    for (const slab of this.#slabs) {
      const block = slab.take(size)
      if (block) return this.#count(block)
    }
    const slab = new Slab(this.#reserve(size))
    this.#slabs.push(slab)
    return this.#count(slab.take(size) as Block)
  }

  free(block: Block): void {
    this.#liveBytes -= block.bytes
    this.#slabs.find((slab) => slab.memory === block.memory)?.give(block)
  }

  #count(block: Block): Block {
    this.#liveBytes += block.bytes
    return block
  }

  #reserve(size: number): SharedArrayBuffer {
    if (size <= this.freeBytes) {
      try {
        return new SharedArrayBuffer(Math.max(size, SLAB_BYTES))
      } catch (error) {
        throw outOfMemory(size, this.freeBytes, error)
      }
    }
    throw outOfMemory(size, this.freeBytes)
  }
}

/** One SharedArrayBuffer and what of it is free. */
class Slab {
  #held: SharedArrayBuffer | null
  readonly #weak: WeakRef<SharedArrayBuffer>
  /** Free ranges by offset; no two touch. */
  readonly #holes: { offset: number; bytes: number }[]
  #blocks = 0

  constructor(memory: SharedArrayBuffer) {
    this.#held = memory
    this.#weak = new WeakRef(memory)
    this.#holes = [{ offset: 0, bytes: memory.byteLength }]
  }

  /** Undefined once an unused slab was collected. */
  get memory(): SharedArrayBuffer | undefined {
    return this.#held ?? this.#weak.deref()
  }

  take(bytes: number): Block | null {
    const at = this.#holes.findIndex((hole) => hole.bytes >= bytes)
    const { memory } = this
    if (at < 0 || !memory) return null
    const hole = this.#holes[at]
    const block = { memory, byteOffset: hole.offset, bytes }
    hole.offset += bytes
    hole.bytes -= bytes
    if (hole.bytes === 0) this.#holes.splice(at, 1)
    this.#held = memory
    this.#blocks++
    return block
  }

  give({ byteOffset: offset, bytes }: Block): void {
    const next = this.#holes.findIndex((hole) => hole.offset > offset)
    const at = next < 0 ? this.#holes.length : next
    this.#holes.splice(at, 0, { offset, bytes })
    this.#join(at)
    if (at > 0) this.#join(at - 1)
    if (--this.#blocks === 0) this.#held = null
  }

  /** Joins a hole with the one after it where they touch. */
  #join(at: number): void {
    const hole = this.#holes[at]
    const next = this.#holes[at + 1]
    if (!next || hole.offset + hole.bytes !== next.offset) return
    hole.bytes += next.bytes
    this.#holes.splice(at + 1, 1)
  }
}

function outOfMemory(bytes: number, freeBytes: number, cause?: unknown): PolymlaError {
  return new PolymlaError(
    'POLYMLA_OUT_OF_MEMORY',
    `reference: expected ${bytes} bytes of memory, found at most ${Math.max(freeBytes, 0)} free`,
    {
      device: 'reference',
      fix: 'Dispose tensors and caches that are no longer needed, or make them smaller',
      cause,
    },
  )
}
