import type { BackendPlan } from '../backend/index.js'
import type { DeviceContext } from '../device/context.js'
import { PolymlaError } from '../errors.js'
import type { Problem } from '../problem/index.js'

/** Makes a problem ready on a device, or throws `POLYMLA_UNSUPPORTED` with the device's own reason. */
export function prepare<P extends Problem>(context: DeviceContext, problem: P): BackendPlan<P> {
  context.assertLive()
  const answer = context.backend.supports(problem)
  if (answer !== true) {
    throw new PolymlaError('POLYMLA_UNSUPPORTED', `${problem.op} on ${context.id}: ${answer}`, {
      device: context.id,
      fix: "Change the problem, or select a device with selectDevice('auto', { require: problem })",
    })
  }
  return context.backend.prepare(problem)
}
