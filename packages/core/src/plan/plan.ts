import type { BackendPlan, LaunchArgs } from '../backend/index.js'
import type { CapturedPlan } from '../device/capture.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { disposedError, PolymlaError } from '../errors.js'
import { prepare } from '../ops/prepare.js'
import type { DecodeProblem, SparseDecodeProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'
import { Metadata, type Section } from './metadata.js'
import { type HostSchedule, ScheduleState, scheduleShapes } from './schedule-state.js'

type PlannedProblem = DecodeProblem | SparseDecodeProblem

/**
 * What plans have in common: the prepared problem, its metadata at fixed device addresses, its scratch, and whether it
 * may run. One plan serves every layer of a step; used on another stream, it continues after what it did on the last.
 */
export abstract class Plan<
  P extends PlannedProblem,
  Names extends string,
  Run extends { readonly stream?: Stream },
> implements CapturedPlan
{
  readonly problem: P
  protected readonly context: DeviceContext
  protected readonly backend: BackendPlan<P>
  protected readonly metadata: Metadata<Names | 'schedule' | 'numSplits'>
  protected readonly scheduling: ScheduleState
  /** Arguments of the next launch, refilled by each run: the hot path allocates nothing. */
  protected abstract readonly args: LaunchArgs[P['op']]
  /** The user's tensors among them. */
  protected readonly tensors: (Tensor | null)[] = []
  #batch: number | null = null
  #stream: Stream | null = null
  #stale: (() => string | null) | undefined
  #disposed = false

  protected constructor(
    context: DeviceContext,
    problem: P,
    schedulePageSize: number,
    shapes: Readonly<Record<Names, readonly number[]>>,
  ) {
    this.context = context
    this.problem = problem
    this.backend = prepare(context, problem)
    const { costModel, workspaceBytes } = this.backend
    const all = { ...scheduleShapes(costModel, problem.maxBatch), ...shapes }
    try {
      this.metadata = new Metadata(context, `the plan of a ${problem.op}`, all, workspaceBytes)
    } catch (error) {
      this.backend.dispose()
      throw error
    }
    const sections = this.metadata.sections as Record<'schedule' | 'numSplits', Section>
    this.scheduling = new ScheduleState(context, this.backend, sections, schedulePageSize, problem.splitPages)
  }

  /** Requests of the last update; null before the first. */
  get batch(): number | null {
    return this.#batch
  }

  /** The tile schedule of the last update, if core computed one on the host. */
  get schedule(): HostSchedule | null {
    return this.#batch ? this.scheduling.last : null
  }

  /** Bytes of scratch that the plan holds for the backend. */
  get workspaceBytes(): number {
    return this.backend.workspaceBytes
  }

  /**
   * Enqueues one layer. Throws `POLYMLA_PLAN_STALE` before the first update and after what the last one came from has
   * changed, `POLYMLA_INVALID_ARGUMENT` for tensors that do not fit the problem.
   */
  run(run: Run): void {
    const batch = this.assertRunnable()
    this.accept(run, batch)
    const { context } = this
    const stream = context.streamFor(run.stream)
    context.capture?.addPlan(this, batch)
    if (batch > 0) context.launch(this.moveTo(stream), this.backend, this.args, this.tensors)
  }

  /** Checks the arguments of a run of `batch` requests and takes them over. @internal */
  abstract accept(run: Run, batch: number): void

  /** @internal */
  beforeReplay(batch: number, stream: Stream): void {
    if (this.assertRunnable() !== batch) {
      throw this.#staleError(
        `the graph was captured with a batch of ${batch}, the plan was updated to ${this.#batch}`,
        'Pad each update to the captured batch with requests of length 0',
      )
    }
    this.moveTo(stream)
  }

  /** Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.metadata.dispose()
    if (!this.context.disposed) this.backend.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  protected assertLive(): void {
    this.context.assertLive()
    if (this.#disposed) throw disposedError('the plan', this.context.id)
  }

  /** Returns the batch of the last update, or throws what stands in the way of a run. */
  protected assertRunnable(): number {
    this.assertLive()
    if (this.#batch === null) {
      throw this.#staleError(
        'the plan was not updated yet',
        'Call plan.update() with the lengths of this step first',
      )
    }
    const moved = this.#stale?.()
    if (moved) throw this.#staleError(moved, 'Call plan.update() again for this step')
    return this.#batch
  }

  /** Moves the plan to a stream: what it enqueued on another one comes first. */
  protected moveTo(stream: Stream): Stream {
    if (this.context.capture) return stream // what is captured runs at replays, which move the plan themselves
    stream.follow(this.#stream)
    this.#stream = stream
    return stream
  }

  protected updated(batch: number, stale: (() => string | null) | undefined): void {
    this.#batch = batch
    this.#stale = stale
    this.context.capture?.addPlan(this, batch)
  }

  /** Called before an update touches anything, so that one that fails halfway leaves a plan that refuses to run. */
  protected updating(): void {
    this.#batch = null
  }

  /** Enqueues a copy of device-resident integers into the front of a section. */
  protected copyIn(source: Tensor<'i32'>, section: Section, stream: Stream): void {
    const { size, buffer, byteOffset } = source
    if (size === 0) return
    const target = section.tensor
    this.context.enqueue(stream, [source], (queue) =>
      queue.copy(buffer, byteOffset, target.buffer, target.byteOffset, size * 4),
    )
  }

  #staleError(message: string, fix: string): PolymlaError {
    return new PolymlaError('POLYMLA_PLAN_STALE', message, { device: this.context.id, fix })
  }
}
