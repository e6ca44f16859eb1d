import { API_VERSION, invalidArgument } from '@polymla/core'
import type { Case } from './cases/case.js'
import { casesOf, type GridName } from './grids/grids.js'
import { type CaseReport, type ConformanceReport, summarise } from './report.js'
import { Session, type SessionOptions, SharedData, type Target } from './session.js'

/** Which cases of a grid. */
export interface CaseChoice {
  /** Only cases whose name contains this text or matches this pattern. */
  readonly filter?: string | RegExp
  /** Of those, every `count`-th from the `index`-th (1 … count) on: a share for one of several processes or machines. */
  readonly shard?: { readonly index: number; readonly count: number }
}

interface RunOptions extends Omit<SessionOptions, 'device'>, CaseChoice {
  /** `smoke`: seconds. `standard`: minutes. `full`: FlashMLA's own grids and ours. */
  readonly grid: GridName
  /** Called after each case on each device. */
  readonly onProgress?: (found: CaseReport, done: number, total: number) => void
}

/** A backend, and which of its devices; default: its first usable one. */
export interface ConformanceTarget extends Pick<SessionOptions, 'device'> {
  readonly backend: Target
}

export interface ConformanceOptions extends RunOptions, ConformanceTarget {}

export interface ConformanceOnAllOptions extends RunOptions {
  readonly targets: readonly ConformanceTarget[]
}

/**
 * Runs a grid of cases against a backend. Equal seeds give equal data. Rejects when the device cannot be opened, and
 * with the signal's reason when it fires; everything else is in the report.
 */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const { backend, device, ...run } = options
  const [report] = await runConformanceOnAll({
    ...run,
    targets: [{ backend, ...(device === undefined ? {} : { device }) }],
  })
  return report
}

/**
 * Runs a grid against several devices, case by case: inputs and expected results are computed once, and every device is
 * compared with them. Returns a report per target, as {@link runConformance} would. What is computed once counts to the
 * first device's time.
 */
export async function runConformanceOnAll(options: ConformanceOnAllOptions): Promise<ConformanceReport[]> {
  const { grid, targets, onProgress } = options
  const cases = chosenCases(grid, options)
  if (targets.length === 0) throw invalidArgument('targets', 'at least one', 'none')
  const sessions: Session[] = []
  try {
    for (const { backend, device } of targets) {
      sessions.push(await Session.open(backend, { ...options, ...(device === undefined ? {} : { device }) }))
    }
    const runs = sessions.map((session) => ({
      session,
      info: session.device.info,
      cases: [] as CaseReport[],
    }))
    let done = 0
    for (const testCase of cases) {
      const shared = new SharedData(sessions[0].seed, testCase)
      for (const run of runs) {
        const found = await run.session.run(testCase, shared)
        run.cases.push(found)
        onProgress?.(found, ++done, cases.length * runs.length)
      }
    }
    return runs.map(({ session, info: { id, name, arch }, cases }) =>
      summarise({
        apiVersion: API_VERSION,
        device: { id, name, arch },
        grid,
        seed: session.seed,
        milliseconds: cases.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
        cases,
      }),
    )
  } finally {
    for (const session of sessions) await session.close()
  }
}

/** Names of a grid's cases, in the order they run. */
export function listCases(grid: GridName, choice: CaseChoice = {}): string[] {
  return chosenCases(grid, choice).map(({ name }) => name)
}

function chosenCases(grid: GridName, { filter, shard = { index: 1, count: 1 } }: CaseChoice): Case[] {
  const { index, count } = shard
  if (!(Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count)) {
    throw invalidArgument('shard', 'integers with 1 ≤ index ≤ count', `${index}/${count}`)
  }
  return casesOf(grid)
    .filter(({ name }) => matches(name, filter))
    .filter((_, i) => i % count === index - 1)
}

export function matches(name: string, filter: string | RegExp | undefined): boolean {
  if (filter === undefined) return true
  return typeof filter === 'string' ? name.includes(filter) : name.search(filter) >= 0
}
