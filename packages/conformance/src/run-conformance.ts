import { API_VERSION, invalidArgument } from '@polymla/core'
import type { Case } from './cases/case.js'
import { casesOf, type GridName } from './grids/grids.js'
import { type CaseReport, type ConformanceReport, summarise } from './report.js'
import { Session, type SessionOptions, type Target } from './session.js'

/** Which cases of a grid. */
export interface CaseChoice {
  /** Only cases whose name contains this text or matches this pattern. */
  readonly filter?: string | RegExp
  /** Of those, every `count`-th from the `index`-th (1 … count) on: a share for one of several processes or machines. */
  readonly shard?: { readonly index: number; readonly count: number }
}

export interface ConformanceOptions extends SessionOptions, CaseChoice {
  readonly backend: Target
  /** `smoke`: seconds. `standard`: minutes. `full`: FlashMLA's own grids and ours. */
  readonly grid: GridName
  /** Called after each case. */
  readonly onProgress?: (found: CaseReport, done: number, total: number) => void
}

/**
 * Runs a grid of cases against a backend. Equal seeds give equal data. Rejects when the device cannot be opened, and
 * with the signal's reason when it fires; everything else is in the report.
 */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const { grid, onProgress } = options
  const cases = chosenCases(grid, options)
  const session = await Session.open(options.backend, options)
  const start = performance.now()
  const found: CaseReport[] = []
  try {
    const { id, name, arch } = session.device.info
    for (const testCase of cases) {
      found.push(await session.run(testCase))
      onProgress?.(found[found.length - 1], found.length, cases.length)
    }
    return summarise({
      apiVersion: API_VERSION,
      device: { id, name, arch },
      grid,
      seed: session.seed,
      milliseconds: performance.now() - start,
      cases: found,
    })
  } finally {
    await session.close()
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
