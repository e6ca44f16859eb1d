import { parentPort } from 'node:worker_threads'
import { isPolymlaError } from '@polymla/core'
import type { Job, JobDone } from './job.js'
import { kernels } from './kernels/registry.js'

parentPort?.on('message', (job: Job) => parentPort?.postMessage(perform(job)))

/** Takes units until none is left. After a failure the others stop too: the result is lost anyway. */
function perform({ id, kernel, phase, problem, args, units, next }: Job): JobDone {
  const { run } = kernels[kernel][phase]
  try {
    for (let unit = Atomics.add(next, 0, 1); unit < units; unit = Atomics.add(next, 0, 1)) {
      run(problem as never, args as never, unit)
    }
    return { id }
  } catch (error) {
    Atomics.store(next, 0, units)
    return { id, failure: describeFailure(error) }
  }
}

function describeFailure(error: unknown): NonNullable<JobDone['failure']> {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  if (isPolymlaError(error)) return { code: error.code, message, stack }
  const code = message === 'Array buffer allocation failed' ? 'POLYMLA_OUT_OF_MEMORY' : 'POLYMLA_INTERNAL'
  return { code, message: `reference: ${message}`, stack }
}
