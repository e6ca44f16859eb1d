import type {
  BackendBuffer,
  BackendDevice,
  BackendPlan,
  BackendStream,
  LaunchArgs,
  Problem,
  ScheduleArgs,
} from '@polymla/core'
import type { Arena } from './arena.js'
import { ReferenceBuffer } from './buffer.js'
import { costModel, longestLength, workspaceBytes } from './kernels/splits.js'
import { ReferenceStream } from './stream.js'
import { viewed } from './view.js'
import type { WorkerPool } from './worker-pool.js'

/** Every core of this machine, as one device. */
export class ReferenceDevice implements BackendDevice {
  readonly #pool: WorkerPool
  readonly #arena: Arena
  readonly #release: () => Promise<void>
  readonly #buffers = new Set<ReferenceBuffer>()
  readonly #streams = new Set<ReferenceStream>()

  /** @param release called when the device is done with pool and arena */
  constructor(pool: WorkerPool, arena: Arena, release: () => Promise<void>) {
    this.#pool = pool
    this.#arena = arena
    this.#release = release
  }

  alloc(bytes: number): BackendBuffer {
    const buffer = new ReferenceBuffer(bytes, this.#arena.allocate(bytes))
    this.#buffers.add(buffer)
    return buffer
  }

  free(buffer: BackendBuffer): void {
    const { block } = buffer as ReferenceBuffer
    this.#buffers.delete(buffer as ReferenceBuffer)
    this.#afterCurrentWork(() => this.#arena.free(block))
  }

  memory(): { totalBytes: number; freeBytes: number } {
    return { totalBytes: this.#arena.limitBytes, freeBytes: this.#arena.freeBytes }
  }

  createStream(): BackendStream {
    const stream = new ReferenceStream(this.#pool, () => this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  supports(problem: Problem): true | string {
    if (problem.op !== 'decode' && problem.op !== 'sparseDecode') return true
    if (!Number.isSafeInteger(workspaceBytes(problem))) {
      return 'maxBatch, heads and splitPages ask for a workspace of more than 2^53 bytes'
    }
    if (problem.op === 'sparseDecode' && problem.extra && longestLength(problem) >= 2 ** 31) {
      return 'topk and extra.topk together exceed 2^31 - 1'
    }
    return true
  }

  prepare<P extends Problem>(problem: P): BackendPlan<P> {
    const planned = problem.op === 'decode' || problem.op === 'sparseDecode'
    return {
      workspaceBytes: planned ? workspaceBytes(problem) : 0,
      ...(planned && {
        costModel,
        schedule: (stream: BackendStream, args: ScheduleArgs) =>
          (stream as ReferenceStream).launch('schedule', problem, viewed(args)),
      }),
      launch: (stream: BackendStream, args: LaunchArgs[P['op']]) =>
        (stream as ReferenceStream).launch(problem.op, problem, viewed(args)),
      dispose() {},
    }
  }

  async dispose(): Promise<void> {
    await new Promise<void>((resolve) => this.#afterCurrentWork(resolve))
    for (const { block } of this.#buffers) this.#arena.free(block)
    this.#buffers.clear()
    await this.#release()
  }

  /** Calls back when every stream is done with what is enqueued now; at once if nothing is. */
  #afterCurrentWork(callback: () => void): void {
    const busy = [...this.#streams].filter((stream) => stream.busy)
    let left = busy.length
    if (left === 0) callback()
    for (const stream of busy) {
      stream.afterwards(() => {
        if (--left === 0) callback()
      })
    }
  }
}
