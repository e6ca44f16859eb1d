import type { BackendPlan, LaunchArgs } from '../backend/index.js'
import { newTensor } from '../device/allocate.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import type {
  AppendKvProblem,
  CopyPagesProblem,
  MergeStatesProblem,
  SparsePrefillProblem,
} from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { prepare } from './prepare.js'

/** The ops without a plan in the API: their prepared problems are kept per stream, most recent last. */
type OneShotProblem = AppendKvProblem | CopyPagesProblem | MergeStatesProblem | SparsePrefillProblem

const KEPT_PER_STREAM = 64

/** The prepared problem of a stream, or of the graph being captured. Throws `POLYMLA_UNSUPPORTED`. */
export function opPlan<P extends OneShotProblem>(
  context: DeviceContext,
  stream: Stream,
  problem: P,
): BackendPlan<P> {
  const plans = context.capture?.opPlans ?? stream.opPlans
  const key = JSON.stringify(problem)
  const plan = plans.get(key) ?? (prepare(context, problem) as unknown as BackendPlan)
  plans.delete(key)
  plans.set(key, plan)
  if (plans.size > KEPT_PER_STREAM && !context.capture) {
    const [oldestKey, oldest] = plans.entries().next().value as [string, BackendPlan]
    plans.delete(oldestKey)
    oldest.dispose()
  }
  return plan as unknown as BackendPlan<P>
}

/** Launches an op with scratch that lives as long as the launch. */
export function launchOnce<P extends OneShotProblem>(
  context: DeviceContext,
  stream: Stream,
  plan: BackendPlan<P>,
  args: Omit<LaunchArgs[P['op']], 'workspace'>,
  tensors: readonly (Tensor | null)[],
): void {
  const { workspaceBytes } = plan
  using workspace = workspaceBytes > 0 ? newTensor(context, 'u8', [workspaceBytes]) : null
  context.launch(stream, plan, { ...args, workspace } as unknown as LaunchArgs[P['op']], tensors)
}

/** The capacity to prepare for: the next power of two, so that varying counts share a prepared problem. */
export function roundedCapacity(count: number): number {
  return count <= 1 ? 1 : 2 ** Math.ceil(Math.log2(count))
}
