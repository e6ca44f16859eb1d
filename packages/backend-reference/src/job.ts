import type { ErrorCode } from '@polymla/core'
import type { KernelName } from './kernels/registry.js'

/** One phase of a kernel, as it is sent to each worker that takes part. */
export interface Job {
  readonly id: number
  readonly kernel: KernelName
  readonly phase: number
  readonly problem: unknown
  readonly args: unknown
  readonly units: number
  /** int32 [1], shared by all workers: the next unit that nobody has taken. */
  readonly next: Int32Array
}

/** A worker's answer, when no unit is left for it. */
export interface JobDone {
  readonly id: number
  readonly failure?: {
    readonly code: ErrorCode
    readonly message: string
    readonly stack: string | undefined
  }
}
