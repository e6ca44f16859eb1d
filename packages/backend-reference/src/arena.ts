import { totalmem } from 'node:os'
import { PolymlaError } from '@polymla/core'

/** A piece of shared memory. */
export interface Block {
  readonly memory: SharedArrayBuffer
  readonly byteOffset: number
  readonly bytes: number
}

const ALIGNMENT = 256
/** The smallest slab. Blocks of this size and larger do not share slabs with smaller ones, which would break them up. */
const SLAB_BYTES = 64 * 2 ** 20

/**
 * Device memory: blocks cut first-fit out of a few large SharedArrayBuffers.
 *
 * An engine does not know how much memory a dead SharedArrayBuffer holds, and each worker that saw one keeps its own
 * reference, so garbage collection alone lets freed memory pile up until the process is killed. Slabs are therefore
 * reused, and only those without a live block are left to the collector. Their sizes are powers of two, so that blocks
 * of slowly growing size find one to reuse; the system backs only the parts that were touched.
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
    if (size > this.freeBytes) throw this.#outOfMemory(bytes)
    this.#slabs = this.#slabs.filter((slab) => slab.memory !== undefined)
    const block = this.#take(size) ?? this.#grow(size)
    if (!block) throw this.#outOfMemory(bytes)
    this.#liveBytes += size
    return block
  }

  free(block: Block): void {
    this.#liveBytes -= block.bytes
    this.#slabs.find((slab) => slab.memory === block.memory)?.give(block)
  }

  #take(size: number): Block | null {
    for (const slab of this.#slabs) {
      const block = slab.large === size >= SLAB_BYTES ? slab.take(size) : null
      if (block) return block
    }
    return null
  }

  #grow(size: number): Block | null {
    // A system that backs memory in advance may refuse the power of two and grant the size itself.
    for (const slabBytes of [Math.max(SLAB_BYTES, 2 ** Math.ceil(Math.log2(size))), size]) {
      try {
        const slab = new Slab(new SharedArrayBuffer(slabBytes), size >= SLAB_BYTES)
        this.#slabs.push(slab)
        return slab.take(size)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
    }
    return null
  }

  #outOfMemory(bytes: number): PolymlaError {
    return new PolymlaError(
      'POLYMLA_OUT_OF_MEMORY',
      `reference: expected ${bytes} bytes of memory, found at most ${this.freeBytes} free`,
      {
        device: 'reference',
        fix: 'Dispose tensors and caches that are no longer needed, or make them smaller',
      },
    )
  }
}

/** One SharedArrayBuffer and what of it is free. */
class Slab {
  /** Whether it serves large blocks. */
  readonly large: boolean
  #held: SharedArrayBuffer | null
  readonly #weak: WeakRef<SharedArrayBuffer>
  /** Free ranges by offset; no two touch. */
  readonly #holes: { offset: number; bytes: number }[]
  #blocks = 0

  constructor(memory: SharedArrayBuffer, large: boolean) {
    this.large = large
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
