import { type Backend, createRuntime, type Device, isPolymlaError, type Problem } from '@polymla/core'
import { type Bench, type Case, CaseSkipped, ConformanceFailure } from './cases/case.js'
import { Random } from './random.js'
import type { CaseReport } from './report.js'

/** What the suite tests: a backend (its first usable device), a way to open a device, or an open device. */
export type Target = Backend | Device | (() => Promise<Device>)

export interface SessionOptions {
  /** Which of a backend's devices; default: its first usable one. */
  readonly device?: string
  /** Default 0. */
  readonly seed?: number
  /** Multiplications the oracle may spend per case; rows are sampled where all of them cost more. */
  readonly budget?: number
  readonly signal?: AbortSignal
}

const DEFAULT_BUDGET = 4e7

/** An open device and the settings that cases run with. */
export class Session {
  readonly seed: number
  readonly #backend: Backend | null
  readonly #open: (() => Promise<Device>) | null
  readonly #budget: number
  readonly #signal: AbortSignal | undefined
  #device: Device

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
    this.#signal = options.signal
  }

  /** Opens the target's device. A device that is handed in open stays open. */
  static async open(target: Target, options: SessionOptions = {}): Promise<Session> {
    if (typeof target === 'function') return new Session(await target(), null, target, options)
    if (!('probe' in target)) return new Session(target, null, null, options)
    const open = () =>
      createRuntime({ backends: [target], env: {} }).selectDevice(options.device ?? target.name)
    return new Session(await open(), target, open, options)
  }

  get device(): Device {
    return this.#device
  }

  /** Runs a case. Never rejects, except with the reason of the session's own signal. */
  async run(testCase: Case): Promise<CaseReport> {
    this.#signal?.throwIfAborted()
    const start = performance.now()
    const found = await this.#found(testCase)
    this.#signal?.throwIfAborted()
    return { name: testCase.name, ...found, milliseconds: performance.now() - start }
  }

  async close(): Promise<void> {
    if (this.#open) await this.#device.dispose()
  }

  async #found(testCase: Case): Promise<Pick<CaseReport, 'status' | 'message' | 'comparisons'>> {
    const owned: (Disposable | AsyncDisposable)[] = []
    const bench = this.#bench(testCase, owned)
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
      if (error instanceof CaseSkipped) return { status: 'skipped', message: error.message, comparisons: [] }
      // A failure of the device itself sticks to its streams: the next case gets a new device.
      if (!(error instanceof ConformanceFailure)) await this.#reopen()
      return { status: 'failed', message: told(error), comparisons: [] }
    } finally {
      for (const handle of owned.reverse()) {
        if (Symbol.asyncDispose in handle) await handle[Symbol.asyncDispose]()
        else handle[Symbol.dispose]()
      }
    }
  }

  #bench(testCase: Case, owned: (Disposable | AsyncDisposable)[]): Bench {
    const open = this.#open
    return {
      device: this.#device,
      seed: this.seed,
      random: new Random(this.seed, testCase.name),
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

  async #reopen(): Promise<void> {
    if (!this.#open) return
    await this.#device.dispose().catch(() => {})
    this.#device = await this.#open()
  }
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
      `a refused problem: expected POLYMLA_UNSUPPORTED with the reason ${JSON.stringify(answer)}, found ${told(error)}`,
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

function told(error: unknown): string {
  if (isPolymlaError(error)) return `${error.code}: ${error.message}`
  if (error instanceof ConformanceFailure) return error.message
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
