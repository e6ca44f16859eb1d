import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { PolymlaError } from '@polymla/core'
import type { Job, JobDone } from './job.js'

/** Beside the built package, and beside a bundle that holds it; from sources, in the build. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? '../dist/worker.js' : './worker.js', import.meta.url)

/** A job as its caller states it. */
export type JobRequest = Omit<Job, 'id' | 'next'>

interface RunningJob {
  readonly job: Job
  /** Workers that have not answered yet. */
  pending: number
  failure: PolymlaError | null
  readonly settle: (failure: PolymlaError | null) => void
}

interface Member {
  readonly worker: Worker
  readonly jobs: Set<RunningJob>
}

/**
 * Threads that compute. They start when they are first needed and keep the process alive only while they work. A
 * thread that dies fails the jobs it took part in and is replaced by the next job.
 */
export class WorkerPool {
  readonly size: number
  readonly #script: URL
  readonly #members = new Set<Member>()
  #lastId = 0

  constructor(size = availableParallelism(), script = WORKER) {
    this.size = size
    this.#script = script
  }

  /** Resolves when every unit of the job is done and no worker is at it any more. */
  run(request: JobRequest): Promise<void> {
    if (request.units === 0) return Promise.resolve()
    const job: Job = { ...request, id: ++this.#lastId, next: new Int32Array(new SharedArrayBuffer(4)) }
    const members = this.#recruit(Math.min(job.units, this.size))
    return new Promise((resolve, reject) => {
      const running: RunningJob = {
        job,
        pending: members.length,
        failure: null,
        settle: (failure) => (failure ? reject(failure) : resolve()),
      }
      for (const member of members) {
        if (member.jobs.size === 0) member.worker.ref()
        member.jobs.add(running)
        member.worker.postMessage(job)
      }
    })
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await Promise.all([...this.#members].map(({ worker }) => worker.terminate()))
  }

  /** The `count` least busy members; idle ones are added as long as the pool may grow. */
  #recruit(count: number): Member[] {
    let idle = 0
    for (const { jobs } of this.#members) if (jobs.size === 0) idle++
    for (; idle < count && this.#members.size < this.size; idle++) this.#start()
    return [...this.#members].sort((a, b) => a.jobs.size - b.jobs.size).slice(0, count)
  }

  #start(): void {
    // Without execArgv a worker would inherit flags of the main thread that only fit that, such as --input-type.
    const worker = new Worker(this.#script, { name: 'polymla-reference', execArgv: [] })
    const member: Member = { worker, jobs: new Set() }
    let cause: unknown
    this.#members.add(member)
    worker.unref()
    worker.on('message', ({ id, failure }: JobDone) => {
      for (const running of member.jobs) {
        if (running.job.id === id) this.#answered(member, running, failure ? revive(failure) : null)
      }
    })
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', () => {
      this.#members.delete(member)
      for (const running of member.jobs) this.#answered(member, running, threadLost(cause))
    })
  }

  #answered(member: Member, running: RunningJob, failure: PolymlaError | null): void {
    member.jobs.delete(running)
    if (member.jobs.size === 0) member.worker.unref()
    if (failure) {
      running.failure ??= failure
      Atomics.store(running.job.next, 0, running.job.units)
    }
    if (--running.pending === 0) running.settle(running.failure)
  }
}

function revive({ code, message, stack }: NonNullable<JobDone['failure']>): PolymlaError {
  const error = new PolymlaError(code, message, { device: 'reference' })
  if (stack) error.stack = stack
  return error
}

function threadLost(cause: unknown): PolymlaError {
  const why = cause instanceof Error ? cause.message : 'it was ended from outside'
  return new PolymlaError('POLYMLA_DEVICE_LOST', `reference: a worker thread died: ${why}`, {
    device: 'reference',
    fix: 'Select the device again; if this repeats, check the memory limits of the process',
    cause,
  })
}
