import type { BackendPlan } from '../backend/index.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { PolymlaError } from '../errors.js'
import {
  type CostModel,
  computeSchedule,
  measureLoad,
  SCHEDULE_STRIDE,
  type ScheduleLoad,
} from '../scheduler/index.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Section } from './metadata.js'

/** A schedule as core computed it on the host; see `computeSchedule` and `forEachSplit`. */
export interface HostSchedule {
  readonly partitions: number
  /** Tokens (or indices, for sparse decode) per page of the schedule. */
  readonly pageSize: number
  readonly splitPages: number
  /** int32 [partitions, 8] */
  readonly schedule: Int32Array
  /** int32 [batch + 1] */
  readonly numSplits: Int32Array
}

/** Lengths on the device and the bounds their shapes give, to choose a launch shape without seeing them. */
export interface DeviceLengths {
  readonly lengths: Tensor<'i32'> | null
  readonly extraLengths: Tensor<'i32'> | null
  readonly load: ScheduleLoad
}

/** Shapes of the schedule's sections; empty for a backend that takes no schedule. */
export function scheduleShapes(model: CostModel | undefined, maxBatch: number) {
  return {
    schedule: model ? [model.maxPartitions, SCHEDULE_STRIDE] : [0, SCHEDULE_STRIDE],
    numSplits: model ? [maxBatch + 1] : [0],
  }
}

/** Fills a plan's schedule sections, on the host or on the device. */
export class ScheduleState {
  readonly #context: DeviceContext
  readonly #plan: BackendPlan
  readonly #pageSize: number
  readonly #splitPages: number
  readonly #sections: { readonly schedule: Section; readonly numSplits: Section }
  #last: { partitions: number; batch: number } | null = null

  constructor(
    context: DeviceContext,
    plan: BackendPlan,
    sections: { readonly schedule: Section; readonly numSplits: Section },
    pageSize: number,
    splitPages: number,
  ) {
    this.#context = context
    this.#plan = plan
    this.#pageSize = pageSize
    this.#splitPages = splitPages
    this.#sections = sections
  }

  /** A copy of the last schedule computed on the host; null without one. */
  get last(): HostSchedule | null {
    if (!this.#last) return null
    const { partitions, batch } = this.#last
    const { schedule, numSplits } = this.#sections
    return {
      partitions,
      pageSize: this.#pageSize,
      splitPages: this.#splitPages,
      schedule: schedule.host.slice(0, partitions * SCHEDULE_STRIDE),
      numSplits: numSplits.host.slice(0, batch + 1),
    }
  }

  /** Computes the schedule into the host image; the caller uploads it. */
  fromHost(lengths: Int32Array, batch: number): void {
    const model = this.#plan.costModel
    if (!model) return
    const { partitions, fixedOverhead } = this.#choose(model, measureLoad(lengths, batch, this.#pageSize))
    const params = {
      partitions,
      fixedOverhead,
      pageSize: this.#pageSize,
      splitPages: this.#splitPages,
    }
    computeSchedule(lengths, batch, params, this.#sections.schedule.host, this.#sections.numSplits.host)
    this.#last = { partitions, batch }
  }

  /** Why lengths on the device cannot be scheduled by this backend, or null. */
  deviceRefusal(): PolymlaError | null {
    if (!this.#plan.costModel || this.#plan.schedule) return null
    return new PolymlaError(
      'POLYMLA_UNSUPPORTED',
      `device ${this.#context.id} computes no schedules: it takes lengths from the host only`,
      { device: this.#context.id, fix: 'Pass the lengths as an Int32Array' },
    )
  }

  /** Enqueues the computation of the schedule on the device. */
  fromDevice(stream: Stream | undefined, from: DeviceLengths): void {
    this.#last = null
    const model = this.#plan.costModel
    if (!model) return
    const { schedule, numSplits } = this.#sections
    const args = {
      batch: from.load.batch,
      lengths: from.lengths,
      extraLengths: from.extraLengths,
      ...this.#choose(model, from.load),
      pageSize: this.#pageSize,
      splitPages: this.#splitPages,
      schedule: schedule.tensor,
      numSplits: numSplits.tensor,
    }
    this.#context.enqueue(stream, [], (target) => this.#plan.schedule?.(target, args))
  }

  #choose(model: CostModel, load: ScheduleLoad): { partitions: number; fixedOverhead: number } {
    const { partitions, fixedOverhead } = model.choose(load)
    if (!(partitions >= 1 && partitions <= model.maxPartitions && fixedOverhead >= 0)) {
      throw new PolymlaError(
        'POLYMLA_INTERNAL',
        `cost model of ${this.#context.id}: expected 1 to ${model.maxPartitions} partitions and an overhead ≥ 0, ` +
          `found ${partitions} and ${fixedOverhead}`,
        { device: this.#context.id },
      )
    }
    return { partitions, fixedOverhead }
  }
}
