import { type Backend, createRuntime, type Device, isPolymlaError, type Problem } from '@polymla/core'
import { type Bench, type Case, CaseSkipped, ConformanceFailure } from './cases/case.js'
import { Random } from './random.js'
import type { CaseReport } from './report.js'
import { TimeLimit, within } from './within.js'

/** What the suite tests: a backend (its first usable device), a way to open a device, or an open device. */
export type Target = Backend | Device | (() => Promise<Device>)

export interface SessionOptions {
  /** Which of a backend's devices; default: its first usable one. */
  readonly device?: string
  /** Default 0. */
  readonly seed?: number
  /** Multiplications the oracle may spend per case; rows are sampled where all of them cost more. */
  readonly budget?: number
  /** Milliseconds a case may take before it counts as failed. Default 120,000. */
  readonly timeout?: number
  readonly signal?: AbortSignal
}

const DEFAULT_TIMEOUT = 120_000
const DEFAULT_BUDGET = 4e7
/** After so many cases that ran out of time, a device is not asked for the rest. */
const MOST_HANGS = 3
/** How long to wait for a device that hangs to be disposed of. */
const GRACE_MS = 1000

type Found = Pick<CaseReport, 'status' | 'message' | 'comparisons'>
type Owned = (Disposable | AsyncDisposable)[]

/** What one case computes on the host, for every device that it runs on. */
export class SharedData {
  readonly #random: Random
  readonly #made = new Map<string, unknown>()

  constructor(seed: number, { name }: Case) {
    this.#random = new Random(seed, name)
  }

  get<T>(name: string, make: (random: Random) => T): T {
    if (!this.#made.has(name)) this.#made.set(name, make(this.#random))
    return this.#made.get(name) as T
  }
}

/** An open device and the settings that cases run with. */
export class Session {
  readonly seed: number
  readonly #backend: Backend | null
  readonly #open: (() => Promise<Device>) | null
  readonly #budget: number
  readonly #timeout: number
  readonly #signal: AbortSignal | undefined
  #device: Device
  #hangs = 0
  /** Why no further case can run; null while they can. */
  #lost: string | null = null

  private constructor(
    device: Device,
    backend: Backend | null,
    open: (() => Promise<Device>) | null,
    options: SessionOptions,
  ) {
    this.#device = device
    this.#backend = backend
    this.#open = open
    this.seed = options.seed ?? 0
    this.#budget = options.budget ?? DEFAULT_BUDGET
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT
    this.#signal = options.signal
  }

  /** Opens the target's device. A device that is handed in open stays open. */
  static async open(target: Target, options: SessionOptions = {}): Promise<Session> {
    if (typeof target === 'function') return new Session(await target(), null, target, options)
    if (!('probe' in target)) return new Session(target, null, null, options)
    const open = () =>
      createRuntime({ backends: [target], env: {} }).selectDevice(options.device ?? target.name)
    const device = await within(options.timeout ?? DEFAULT_TIMEOUT, open(), options.signal)
    return new Session(device, target, open, options)
  }

  get device(): Device {
    return this.#device
  }

  /**
   * Runs a case. Never rejects, except with the reason of the session's own signal. A case that takes too long is given
   * up as failed; only a device that blocks the event loop itself cannot be left.
   *
   * @param shared what other devices that ran the case with this seed and budget left
   */
  async run(testCase: Case, shared = new SharedData(this.seed, testCase)): Promise<CaseReport> {
    this.#signal?.throwIfAborted()
    const start = performance.now()
    const found = this.#lost === null ? await this.#guarded(testCase, shared) : failure(this.#lost)
    this.#signal?.throwIfAborted()
    return { name: testCase.name, ...found, milliseconds: performance.now() - start }
  }

  /** Never rejects. */
  async close(): Promise<void> {
    if (this.#open) await this.#dismiss(this.#lost === null ? this.#timeout : GRACE_MS)
  }

  /** The outcome of a case and of its clean-up; a device that something was wrong with is replaced. */
  async #guarded(testCase: Case, shared: SharedData): Promise<Found> {
    const owned: Owned = []
    const limited = <T>(work: Promise<T>) => within(this.#timeout, work, this.#signal)
    let before = ''
    let found: Found
    let broken: unknown = null
    try {
      before = held(this.#device)
      found = await limited(this.#found(testCase, owned, shared))
    } catch (error) {
      found = failure(messageOf(error))
      if (!(error instanceof ConformanceFailure)) broken = error
    }
    try {
      if (!(broken instanceof TimeLimit)) await limited(release(owned))
      // Others may hold memory of a device that was handed in.
      if (this.#open && broken === null && held(this.#device) !== before) {
        throw new ConformanceFailure(`device.memory() went from ${before} to ${held(this.#device)}`)
      }
    } catch (error) {
      broken ??= error
      if (found.status !== 'failed') found = failure(`after the case: ${messageOf(error)}`)
    }
    if (broken !== null) await this.#replace(broken)
    return found
  }

  async #found(testCase: Case, owned: Owned, shared: SharedData): Promise<Found> {
    let strided = false
    const bench = {
      ...this.#bench(testCase, owned, shared),
      givesStrides() {
        strided = true
      },
    }
    try {
      const problem = testCase.problem(this.seed)
      const answer: unknown = problem ? this.#device.supports(problem) : true
      if (answer !== true) {
        await refusal(bench, testCase, problem as Problem, answer)
        return { status: 'skipped', message: String(answer), comparisons: [] }
      }
      const comparisons = await testCase.run(bench)
      const message = comparisons.find(({ passed }) => !passed)?.message ?? null
      return { status: message === null ? 'passed' : 'failed', message, comparisons }
    } catch (error) {
      // A refusal of anything else comes too late: supports() said yes to the problem.
      const refusesStrides =
        strided && isPolymlaError(error, 'POLYMLA_UNSUPPORTED') && /stride/i.test(error.message)
      if (!(error instanceof CaseSkipped) && !refusesStrides) throw error
      return { status: 'skipped', message: error.message, comparisons: [] }
    }
  }

  #bench(testCase: Case, owned: Owned, shared: SharedData): Bench {
    const open = this.#open
    return {
      device: this.#device,
      seed: this.seed,
      random: new Random(this.seed, testCase.name),
      shared: (name, make) => shared.get(name, make),
      budget: this.#budget,
      signal: this.#signal,
      own(handle) {
        owned.push(handle)
        return handle
      },
      open:
        open &&
        (async () => {
          const device = await open()
          owned.push(device)
          return device
        }),
      backend: this.#backend,
    }
  }

  /** A failure of the device itself sticks to its streams, and memory that leaked stays: the next case gets a new one. */
  async #replace(broken: unknown): Promise<void> {
    if (this.#signal?.aborted) return
    const hung = broken instanceof TimeLimit
    if (hung && (++this.#hangs === MOST_HANGS || !this.#open)) {
      this.#lost = 'not run: the device hung in cases before this one'
    }
    if (!this.#open || this.#lost !== null) return
    await this.#dismiss(hung ? GRACE_MS : this.#timeout)
    try {
      this.#device = await within(this.#timeout, this.#open(), this.#signal)
    } catch (error) {
      this.#lost = `not run: the device could not be opened again after a case before this one: ${messageOf(error)}`
    }
  }

  async #dismiss(milliseconds: number): Promise<void> {
    await within(milliseconds, this.#device.dispose()).catch(() => {})
  }
}

async function release(owned: Owned): Promise<void> {
  for (const handle of owned.reverse()) {
    if (Symbol.asyncDispose in handle) await handle[Symbol.asyncDispose]()
    else handle[Symbol.dispose]()
  }
}

/** What a device's user holds, in words. */
function held(device: Device): string {
  const { liveBytes, handles } = device.memory()
  const counts = Object.entries(handles).map(([kind, count]) => `${count} ${kind}${count === 1 ? '' : 's'}`)
  return [`${liveBytes} bytes`, ...counts].join(', ')
}

/** Checks that a refusal is an honest one: a sentence, which planning the problem repeats. */
async function refusal(bench: Bench, testCase: Case, problem: Problem, answer: unknown): Promise<void> {
  if (typeof answer !== 'string' || !/\w+ \w+/.test(answer)) {
    throw new ConformanceFailure(
      `supports(${problem.op}): expected true or a sentence that names the reason, found ${JSON.stringify(answer)}`,
    )
  }
  try {
    await attempt(bench, testCase, problem)
  } catch (error) {
    if (isPolymlaError(error, 'POLYMLA_UNSUPPORTED') && error.message.includes(answer)) return
    throw new ConformanceFailure(
      `a refused problem: expected POLYMLA_UNSUPPORTED with the reason ${JSON.stringify(answer)}, found ${messageOf(error)}`,
    )
  }
  throw new ConformanceFailure(
    `supports() refused with ${JSON.stringify(answer)}, but the problem could be run`,
  )
}

/** Plans the problem, or runs the case where its op has no plan. */
async function attempt(bench: Bench, testCase: Case, problem: Problem): Promise<void> {
  const { op, ...options } = problem
  if (op === 'decode') bench.own(bench.device.planDecode(options as never))
  else if (op === 'sparseDecode') bench.own(bench.device.planSparseDecode(options as never))
  else await testCase.run(bench)
}

function failure(message: string): Found {
  return { status: 'failed', message, comparisons: [] }
}

/** Whatever was thrown, in words. */
function messageOf(error: unknown): string {
  if (isPolymlaError(error)) return `${error.code}: ${error.message}`
  if (error instanceof ConformanceFailure || error instanceof TimeLimit) return error.message
  if (error instanceof Error) return `${error.name}: ${error.message}`
  try {
    return `thrown, though no error: ${error}`
  } catch {
    return 'something was thrown that is no error and has no text'
  }
}
