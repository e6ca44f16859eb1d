import type { BackendPlan, BackendStream, LaunchArgs, ScheduleArgs, TensorRef } from '../backend/index.js'
import type { Op, Problem } from '../problem/index.js'
import { type CostModel, computeSchedule, sparseLengths } from '../scheduler/index.js'
import type { Launch, MemoryDevice } from './memory-backend.js'
import { integers, type MemoryStream, range } from './memory-stream.js'

/** Records its launches, and schedules on the device where that is asked for. */
export class MemoryPlan<P extends Problem> implements BackendPlan<P> {
  readonly #device: MemoryDevice
  readonly #problem: P
  readonly workspaceBytes: number
  readonly costModel?: CostModel
  readonly schedule?: (stream: BackendStream, args: ScheduleArgs) => void
  disposed = false

  constructor(device: MemoryDevice, problem: P) {
    const { workspaceBytes = 0, costModel, schedules } = device.options
    this.#device = device
    this.#problem = problem
    this.workspaceBytes = workspaceBytes
    if (!costModel || (problem.op !== 'decode' && problem.op !== 'sparseDecode')) return
    this.costModel = costModel
    if (!schedules) return
    this.schedule = (stream, args) => {
      device.use(this)
      ;(stream as MemoryStream).enqueue('schedule', () => scheduleOnDevice(problem, args))
    }
  }

  launch(stream: BackendStream, args: LaunchArgs[P['op']]): void {
    this.#device.use(this)
    const kept = { ...args } as LaunchArgs[Op]
    ;(stream as MemoryStream).enqueue(`launch ${this.#problem.op}`, (target) => {
      this.#device.use(this)
      for (const arg of Object.values(kept)) if (arg?.buffer) range(arg.buffer, arg.byteOffset, 0)
      this.#device.launches.push({ problem: this.#problem, args: kept, stream: target } as Launch)
    })
  }

  dispose(): void {
    this.#device.close('plans', this)
  }
}

function scheduleOnDevice(problem: Problem, args: ScheduleArgs): void {
  const { batch, pageSize } = args
  const lengths = new Int32Array(batch)
  if (problem.op === 'sparseDecode') {
    const load = {
      batch,
      topk: problem.topk,
      topkLength: args.lengths ? integers(args.lengths) : undefined,
      extraTopk: problem.extra?.topk,
      extraTopkLength: args.extraLengths ? integers(args.extraLengths) : undefined,
    }
    sparseLengths(load, pageSize, lengths)
  } else if (args.lengths) {
    lengths.set(integers(args.lengths).subarray(0, batch))
  }
  const schedule = integers(args.schedule)
  const numSplits = integers(args.numSplits)
  computeSchedule(lengths, batch, args, schedule, numSplits)
  store(args.schedule, schedule)
  store(args.numSplits, numSplits)
}

function store({ buffer, byteOffset }: TensorRef, values: Int32Array): void {
  range(buffer, byteOffset, values.byteLength).set(new Uint8Array(values.buffer))
}
