import type { BackendPlan, LaunchArgs } from '../backend/index.js'
import { allocate } from '../device/allocate.js'
import type { DeviceContext } from '../device/context.js'
import type { OpPlan, Stream } from '../device/stream.js'
import type {
  AppendKvProblem,
  CopyPagesProblem,
  MergeStatesProblem,
  SparsePrefillProblem,
} from '../problem/index.js'
import { Tensor } from '../tensor/tensor.js'
import { prepare } from './prepare.js'

/** The ops without a plan in the API: their prepared problems are kept per stream, most recent last. */
type OneShotProblem = AppendKvProblem | CopyPagesProblem | MergeStatesProblem | SparsePrefillProblem

const KEPT_PER_STREAM = 64

/** Launches an op with scratch that lives as long as the launch. */
export function launchOnce<P extends OneShotProblem>(
  context: DeviceContext,
  given: Stream | undefined,
  problem: P,
  args: Omit<LaunchArgs[P['op']], 'workspace'>,
  tensors: readonly (Tensor | null)[],
): void {
  const stream = context.streamFor(given)
  const entry = cached(context, stream, problem)
  const plan = entry.plan as unknown as BackendPlan<P>
  if (context.capture) entry.captured = true
  const bytes = plan.workspaceBytes
  const scratch = bytes > 0 ? allocate(context, bytes, `the workspace of a ${problem.op}`) : null
  const workspace = scratch && new Tensor(scratch, 'u8', [bytes], [1], 0, true)
  try {
    context.launch(stream, plan, { ...args, workspace } as unknown as LaunchArgs[P['op']], tensors)
  } finally {
    workspace?.dispose()
  }
}

function cached(context: DeviceContext, stream: Stream, problem: OneShotProblem): OpPlan {
  const { opPlans } = stream
  const key = JSON.stringify(problem)
  let entry = opPlans.get(key)
  if (entry) opPlans.delete(key)
  else entry = { plan: prepare(context, problem) as BackendPlan, captured: false }
  opPlans.set(key, entry)
  if (opPlans.size > KEPT_PER_STREAM) {
    const [oldestKey, oldest] = opPlans.entries().next().value as [string, OpPlan]
    opPlans.delete(oldestKey)
    if (!oldest.captured) oldest.plan.dispose()
  }
  return entry
}

/** The capacity to prepare for: the next power of two, so that varying counts share a prepared problem. */
export function roundedCapacity(count: number): number {
  return count <= 1 ? 1 : 2 ** Math.ceil(Math.log2(count))
}
