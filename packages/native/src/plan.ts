import type {
  BackendPlan,
  BackendStream,
  CostModel,
  LaunchArgs,
  Problem,
  ScheduleArgs,
  ScheduleLoad,
} from '@polymla/core'
import type { Addon, NativeDeviceHandle, NativePlanHandle } from './addon.js'
import { argumentWriters, writeScheduleArgs } from './launch-args.js'
import { writeProblem } from './problem.js'
import type { NativeStream } from './stream.js'

/** A problem that the library has made ready. */
export class NativePlan<P extends Problem> implements BackendPlan<P> {
  readonly #addon: Addon
  readonly #handle: NativePlanHandle
  readonly #write: (block: Float64Array, args: LaunchArgs[P['op']]) => void
  /** Held, so that the device is not collected before the plan. */
  readonly owner: object
  readonly workspaceBytes: number
  readonly costModel?: CostModel
  readonly schedule?: (stream: BackendStream, args: ScheduleArgs) => void

  /** @param chooses whether the library decides on partitions for each step */
  constructor(addon: Addon, owner: object, device: NativeDeviceHandle, problem: P, chooses: boolean) {
    this.owner = owner
    const { block } = addon
    writeProblem(block, problem)
    const handle = addon.prepare(device)
    const [workspaceBytes, maxPartitions, fixedOverhead, schedules] = block
    this.#addon = addon
    this.#handle = handle
    this.#write = argumentWriters[problem.op as P['op']]
    this.workspaceBytes = workspaceBytes
    if (maxPartitions === 0 || (problem.op !== 'decode' && problem.op !== 'sparseDecode')) return
    const choose = (load: ScheduleLoad) => {
      block[0] = load.batch
      block[1] = load.totalPages
      block[2] = load.maxPages
      addon.choose(handle)
      return { partitions: block[0], fixedOverhead: block[1] }
    }
    const constant = { partitions: maxPartitions, fixedOverhead }
    this.costModel = { maxPartitions, choose: chooses ? choose : () => constant }
    if (schedules === 0) return
    this.schedule = (stream, args) => {
      writeScheduleArgs(block, args)
      addon.schedule(handle, (stream as NativeStream).handle)
    }
  }

  launch(stream: BackendStream, args: LaunchArgs[P['op']]): void {
    const addon = this.#addon
    this.#write(addon.block, args)
    addon.launch(this.#handle, (stream as NativeStream).handle)
  }

  dispose(): void {
    this.#addon.dispose(this.#handle)
  }
}
