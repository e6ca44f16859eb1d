import type { Backend, Device, HostArray, Problem, Tensor } from '@polymla/core'
import type { Comparison } from '../compare.js'
import type { Random } from '../random.js'

/** One thing the suite checks. Its name says everything about it and, with the seed, fixes all its data. */
export interface Case {
  readonly name: string
  /** What the device must support for the case to run; null when it launches none. Depends on the seed alone. */
  problem(seed: number): Problem | null
  /** Returns comparisons, or throws {@link ConformanceFailure} or {@link CaseSkipped}. */
  run(bench: Bench): Promise<readonly Comparison[]>
}

/** What a running case works with. */
export interface Bench {
  readonly device: Device
  readonly seed: number
  /** Seeded by `seed` and the case's name. */
  readonly random: Random
  /**
   * What `make` returned when this case first asked under this name, on whichever device: inputs and expected results are
   * the same for all. `make` draws from a stream of its own, seeded like `random`, which devices share.
   */
  shared<T>(name: string, make: (random: Random) => T): T
  /** Multiplications the oracle may spend on the case. */
  readonly budget: number
  readonly signal: AbortSignal | undefined
  /** Told of every tensor that is uploaded as an input. */
  readonly watch?: (tensor: Tensor, data: HostArray) => void
  /**
   * Told before a launch gets a view with outer strides: no problem has them, so `supports` says nothing of them, and a
   * device may refuse them at the launch.
   */
  readonly givesStrides?: () => void
  /** Disposes `handle` after the case, whatever happens. */
  own<T extends Disposable>(handle: T): T
  /** Opens another handle of the same device, disposed after the case; null when the suite was given an open device. */
  readonly open: (() => Promise<Device>) | null
  /** The backend under test; null when the suite was not given one. */
  readonly backend: Backend | null
}

/** The device did something the contract rules out. */
export class ConformanceFailure extends Error {
  override readonly name = 'ConformanceFailure'
}

/** The case does not apply to this device; the message says why. */
export class CaseSkipped extends Error {
  override readonly name = 'CaseSkipped'
}

/** Throws {@link ConformanceFailure} unless `condition` holds. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ConformanceFailure(message)
}
