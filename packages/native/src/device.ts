import {
  type BackendBuffer,
  type BackendDevice,
  type BackendPlan,
  type BackendStream,
  type DevicePeaks,
  invalidArgument,
  PolymlaError,
  type Problem,
} from '@polymla/core'
import type { Addon, NativeDeviceHandle, OpenedDevice } from './addon.js'
import { NativeBuffer } from './buffer.js'
import { NativePlan } from './plan.js'
import { writeProblem } from './problem.js'
import { NativeStream } from './stream.js'

/** A device of a library. Optional members are there where the library has them. */
export class NativeDevice implements BackendDevice {
  readonly #addon: Addon
  readonly #handle: NativeDeviceHandle
  readonly #captures: boolean
  readonly #chooses: boolean
  #closing: Promise<void> | undefined
  readonly adopt?: (pointer: bigint, bytes: number) => BackendBuffer
  readonly adoptStream?: (pointer: bigint) => BackendStream
  readonly memory?: () => { totalBytes: number; freeBytes: number }
  readonly measurePeaks?: () => Promise<DevicePeaks>

  constructor(addon: Addon, id: string, opened: OpenedDevice) {
    const { handle } = opened
    this.#addon = addon
    this.#handle = handle
    this.#captures = opened.captures
    this.#chooses = opened.chooses
    if (opened.adoptsMemory) this.adopt = (pointer, bytes) => adopted(this, id, pointer, bytes)
    if (opened.adoptsStreams) {
      this.adoptStream = (pointer) => {
        if (pointer === 0n) {
          throw invalidArgument('pointer', 'the address of a stream', pointer, "CUDA's default stream is 1n")
        }
        return this.#stream(pointer)
      }
    }
    if (opened.reportsMemory) {
      this.memory = () => {
        addon.memoryInfo(handle)
        return { totalBytes: addon.block[0], freeBytes: addon.block[1] }
      }
    }
    if (opened.measuresPeaks) {
      this.measurePeaks = async () => {
        const [bytes, f32, bf16, f16] = await addon.measurePeaks(handle)
        return {
          readBytesPerSecond: bytes,
          f32FlopsPerSecond: f32,
          bf16FlopsPerSecond: bf16,
          f16FlopsPerSecond: f16,
        }
      }
    }
  }

  alloc(bytes: number): BackendBuffer {
    const handle = this.#addon.alloc(this.#handle, bytes)
    return new NativeBuffer(this, bytes, this.#addon.block[0], handle)
  }

  free(buffer: BackendBuffer): void {
    const { handle } = buffer as NativeBuffer
    if (handle) this.#addon.dispose(handle)
  }

  createStream(): BackendStream {
    return this.#stream(0n)
  }

  supports(problem: Problem): true | string {
    writeProblem(this.#addon.block, problem)
    return this.#addon.supports(this.#handle) ?? true
  }

  prepare<P extends Problem>(problem: P): BackendPlan<P> {
    return new NativePlan(this.#addon, this, this.#handle, problem, this.#chooses)
  }

  dispose(): Promise<void> {
    this.#closing ??= this.#addon.close(this.#handle)
    return this.#closing
  }

  #stream(native: bigint): NativeStream {
    return new NativeStream(this.#addon, this, this.#addon.createStream(this.#handle, native), this.#captures)
  }
}

function adopted(owner: object, device: string, pointer: bigint, bytes: number): NativeBuffer {
  if (pointer + BigInt(bytes) <= 2n ** 53n) return new NativeBuffer(owner, bytes, Number(pointer), null)
  throw new PolymlaError('POLYMLA_UNSUPPORTED', `pointer: expected an address below 2^53, found ${pointer}`, {
    device,
  })
}
