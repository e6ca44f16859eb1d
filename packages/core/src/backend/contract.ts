import type { DType } from '../dtype/index.js'
import type { Problem } from '../problem/index.js'
import type { CostModel } from '../scheduler/index.js'
import type { LaunchArgs, ScheduleArgs } from './launch-args.js'

/**
 * The contract between core and a backend, whole. A backend allocates memory, moves bytes, orders work on streams and
 * launches prepared problems; everything a user sees (validation, plans, schedules, caches, graphs, accounting,
 * disposal) is core's. Core never calls a backend with arguments that break a rule stated here, and a backend never
 * has to check one twice.
 *
 * Enqueueing calls return at once and may not block the event loop; only promises wait. Failures are thrown as
 * `PolymlaError`, from the call itself where they are known at once, else from the next event.
 */
export const API_VERSION = 1

export interface Backend {
  /** Lower-case letters, digits and `-`; the part of a device id before the colon. */
  readonly name: string
  /** The {@link API_VERSION} the backend was written against. Another one is refused before any other call. */
  readonly apiVersion: number
  /** Discovery leaves it out until somebody names it: a device for tests, that nobody would want to be listed. */
  readonly onRequest?: boolean
  /**
   * Lists the backend's devices, unusable ones included, each with its reason. Loads nothing heavy and is called
   * again by every listing. A rejection is shown to users as an unusable device.
   */
  probe(): Promise<readonly DeviceInfo[]>
  /** Opens a device that `probe` listed as available. */
  open(info: DeviceInfo): Promise<BackendDevice>
}

interface DeviceDescription {
  /** `<backend>` for a single device, `<backend>:<index>` otherwise; unique. */
  readonly id: string
  readonly name: string
  /** Architecture or instruction set, e.g. `sm_90`, `avx512-bf16`. */
  readonly arch: string
  /** Order in which `auto` prefers devices, highest first: reference 0, CPUs 1–99, accelerators 100 and up. */
  readonly score: number
  readonly memoryBytes?: number
  /** Version of the driver that it runs on, where there is one to tell. */
  readonly driver?: string
}

/** A device as `listDevices` shows it. */
export type DeviceInfo =
  | (DeviceDescription & { readonly available: true })
  | (DeviceDescription & { readonly available: false; readonly reason: UnavailableReason })

/** Why a device cannot be used, in a form that a program can branch on and a person can act on. */
export interface UnavailableReason {
  readonly code: string
  readonly message: string
  readonly fix: string
}

export interface BackendDevice {
  /** Reserves `bytes` (> 0) of uninitialised device memory, aligned to 256 bytes. Throws `POLYMLA_OUT_OF_MEMORY`. */
  alloc(bytes: number): BackendBuffer
  /** Releases a buffer once all work enqueued so far, on any stream, is done with it. Does not wait. */
  free(buffer: BackendBuffer): void
  /** Adopts memory that somebody else owns and keeps alive; never passed to `free`. Absent: the device cannot. */
  adopt?(pointer: bigint, bytes: number): BackendBuffer
  /** Device memory in bytes, where the device knows. */
  memory?(): { readonly totalBytes: number; readonly freeBytes: number }
  /** Measures, for some hundred milliseconds and with no work enqueued, what the device can do at best. */
  measurePeaks?(): Promise<DevicePeaks>

  createStream(): BackendStream
  /** A stream over a native one that somebody else owns and keeps alive. Absent: the device cannot. */
  adoptStream?(pointer: bigint): BackendStream

  /** True, or the reason why this device cannot do the problem: one sentence that names the offending property. */
  supports(problem: Problem): true | string
  /** Makes what every launch of the problem shares. Called only with problems that `supports` answered with true. */
  prepare<P extends Problem>(problem: P): BackendPlan<P>

  /** Waits for all work, then releases everything. The last call. */
  dispose(): Promise<void>
}

/** What a device can do at best, as measured: the denominators of an efficiency. 0: not measured. */
export interface DevicePeaks {
  /** Bytes per second read from memory that no cache holds. */
  readonly readBytesPerSecond: number
  /** Multiply-adds per second, each counted as two, summed in fp32 by the unit that kernels use for such operands. */
  readonly f32FlopsPerSecond: number
  readonly bf16FlopsPerSecond: number
  readonly f16FlopsPerSecond: number
}

/** Device memory. Only its backend knows what it is; core passes it on and reads no more than its address. */
export interface BackendBuffer {
  readonly bytes: number
  /** Address in the device's own space, where there is one; for other libraries on the same device. */
  readonly pointer?: bigint
}

/** A queue of work: what is enqueued on one stream happens in order; different streams are unordered. */
export interface BackendStream {
  /** Copies host bytes to the device. `source` is the caller's again when the call returns. */
  upload(target: BackendBuffer, targetOffset: number, source: Uint8Array): void
  /** Copies device bytes to the host. `target` must be left alone until an event recorded later is done. */
  download(source: BackendBuffer, sourceOffset: number, target: Uint8Array): void
  /** Sets `bytes` bytes to `value` (0–255). */
  fill(target: BackendBuffer, targetOffset: number, bytes: number, value: number): void
  /** Copies within the device. The ranges do not overlap. */
  copy(
    source: BackendBuffer,
    sourceOffset: number,
    target: BackendBuffer,
    targetOffset: number,
    bytes: number,
  ): void

  /** Marks the current end of the queue. */
  record(): BackendEvent
  /**
   * Holds back all later work on this stream until the event, of any stream of this device, is done. If that failed,
   * this stream has failed too: its work would go on from results that are not there.
   */
  wait(event: BackendEvent): void

  /**
   * Graphs are optional: both members or neither. Between the calls, launches, fills, copies and device-side schedules
   * on this stream are collected instead of executed; core lets nothing else through to a stream, but may prepare
   * plans, free buffers and dispose of plans, events and graphs. Without them core replays the calls itself, so users
   * keep one path.
   */
  beginCapture?(): void
  endCapture?(): BackendGraph

  /** No later call. Work already enqueued still completes. */
  dispose(): void
}

export interface BackendEvent {
  /** True when the work is done. Throws what `done` would reject with. */
  query(): boolean
  /** Settles when the work is done; rejects when it failed. Failures are sticky: later events of the stream reject too. */
  done(): Promise<void>
  /** Device time in microseconds between the completions of two events, both done. */
  elapsedSince(earlier: BackendEvent): number
  /** No later call. Waits already enqueued on the event still hold. */
  dispose(): void
}

export interface BackendGraph {
  launch(stream: BackendStream): void
  dispose(): void
}

/** A problem made ready to launch any number of times; one stream at a time. */
export interface BackendPlan<P extends Problem = Problem> {
  /**
   * Bytes of scratch that core allocates and passes to every launch of this plan; 0 for none. Ops without a plan in the
   * API get it per launch, so with scratch they cannot be captured.
   */
  readonly workspaceBytes: number
  /** Asks core for a tile schedule (`decode`, `sparseDecode`). Absent: launches get `schedule: null`. */
  readonly costModel?: CostModel
  /**
   * Computes the same schedule, bit for bit, from lengths that live on the device. Absent: plans of this device take
   * lengths from the host only.
   */
  schedule?(stream: BackendStream, args: ScheduleArgs): void
  /**
   * Enqueues the problem. `args` is reused by the caller: read it now. Strides are known only here: ones the device
   * cannot take throw `POLYMLA_UNSUPPORTED`, before anything is enqueued.
   */
  launch(stream: BackendStream, args: LaunchArgs[P['op']]): void
  /** No later call. Launches already enqueued still complete. */
  dispose(): void
}

/** A strided view of device memory: what launches get. Strides count elements; the last one is 1. */
export interface TensorRef {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly buffer: BackendBuffer
  readonly byteOffset: number
}

/** Types and returns a backend. A backend package exports a function by default that makes one. */
export function defineBackend(backend: Backend): Backend {
  return backend
}
