import type { DecodeProblem, Problem, ScheduleArgs, TensorRef } from '@polymla/core'
import type { DeviceMemory } from '../device-memory.js'

/** The launch arguments that faults touch, of all ops: a fault reads those of its own op only. */
export type Args = { readonly batch: number; readonly pairs: number } & Readonly<
  Record<'q' | 'cache' | 'out' | 'seqlens' | 'blockTable' | 'indices' | 'lses' | 'slots', TensorRef>
> &
  Readonly<Record<'lse' | 'maxLogits' | 'numSplits' | 'treeMask' | 'topkLength' | 'sink', TensorRef | null>>

/** One bug, and the case of the `smoke` grid that is meant to catch it. */
export interface Fault {
  readonly caughtBy: string
  /** Replaces the answer of supports(). */
  supports?(problem: Problem): unknown
  /** Throws what prepare() is to throw. */
  prepare?(problem: Problem): void
  /** The problem that is really prepared. */
  problem?(problem: Problem): Problem
  /** Arguments to change in a launch; `state` stays with a launch that a graph repeats. */
  before?(
    problem: Problem,
    args: Args,
    memory: DeviceMemory,
    state: { lengths?: Int32Array },
  ): Promise<Partial<Args>> | Partial<Args>
  /** Changes results after a launch, the `count`th of its plan. */
  after?(problem: Problem, args: Args, memory: DeviceMemory, count: number): Promise<void> | void
  afterSchedule?(args: ScheduleArgs, memory: DeviceMemory): Promise<void>
  /** Called by the enqueueing call itself. */
  onEnqueue?(): void
  readonly eagerUploads?: boolean
  readonly ignoreWaits?: boolean
}

export const isDecode = (problem: Problem): problem is DecodeProblem => problem.op === 'decode'

/** Changes a tensor in place. */
export async function edit<A extends ArrayBufferView>(
  memory: DeviceMemory,
  ref: TensorRef | null,
  change: (elements: A) => void,
): Promise<void> {
  if (!ref) return
  const elements = await memory.read<A>(ref)
  change(elements)
  memory.write(ref, elements)
}
