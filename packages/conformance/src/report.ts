import type { Comparison } from './compare.js'
import type { GridName } from './grids/grids.js'

export type CaseStatus = 'passed' | 'failed' | 'skipped'

/** What one case found. */
export interface CaseReport {
  readonly name: string
  readonly status: CaseStatus
  /** Why it failed or was skipped; null when passed. */
  readonly message: string | null
  readonly comparisons: readonly Comparison[]
  readonly milliseconds: number
}

/** What a run found. Plain data, so that it can be stored and compared. */
export interface ConformanceReport {
  /** Version of the contract between core and backends. */
  readonly apiVersion: number
  readonly device: { readonly id: string; readonly name: string; readonly arch: string }
  readonly grid: GridName
  readonly seed: number
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** The device's reasons for what was skipped, most frequent first. */
  readonly skipReasons: readonly { readonly reason: string; readonly cases: number }[]
  readonly milliseconds: number
  readonly cases: readonly CaseReport[]
}

/** Counts and groups what the cases found. */
export function summarise(
  run: Omit<ConformanceReport, 'passed' | 'failed' | 'skipped' | 'skipReasons'>,
): ConformanceReport {
  const count = (status: CaseStatus) => run.cases.filter((found) => found.status === status).length
  const reasons = new Map<string, number>()
  for (const { status, message } of run.cases) {
    if (status === 'skipped' && message) reasons.set(message, (reasons.get(message) ?? 0) + 1)
  }
  const skipReasons = [...reasons]
    .map(([reason, cases]) => ({ reason, cases }))
    .sort((a, b) => b.cases - a.cases)
  const { cases, ...rest } = run
  return {
    ...rest,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    skipReasons,
    cases,
  }
}
