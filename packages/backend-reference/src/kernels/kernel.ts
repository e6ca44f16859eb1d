import type { Viewed } from '../view.js'

/**
 * One phase of a kernel: independent units of work, each computed by one thread. Which thread takes which unit, and
 * how many threads there are, has no influence on a result.
 */
export interface Phase<P, A> {
  units(problem: P, args: Viewed<A>): number
  run(problem: P, args: Viewed<A>, unit: number): void
}

/** Phases that run one after the other. */
export type Kernel<P, A> = readonly Phase<P, A>[]
