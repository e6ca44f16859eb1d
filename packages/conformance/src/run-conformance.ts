import { API_VERSION } from '@polymla/core'
import { casesOf, type GridName } from './grids/grids.js'
import { type CaseReport, type ConformanceReport, summarise } from './report.js'
import { Session, type SessionOptions, type Target } from './session.js'

export interface ConformanceOptions extends SessionOptions {
  readonly backend: Target
  /** `smoke`: seconds. `standard`: minutes. `full`: FlashMLA's own grids and ours. */
  readonly grid: GridName
  /** Only cases whose name contains this text or matches this pattern. */
  readonly filter?: string | RegExp
  /** Called after each case. */
  readonly onProgress?: (found: CaseReport, done: number, total: number) => void
}

/**
 * Runs a grid of cases against a backend. Equal seeds give equal data. Rejects when the device cannot be opened, and
 * with the signal's reason when it fires; everything else is in the report.
 */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const { grid, onProgress } = options
  const cases = casesOf(grid).filter(({ name }) => matches(name, options.filter))
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
export function listCases(grid: GridName): string[] {
  return casesOf(grid).map(({ name }) => name)
}

export function matches(name: string, filter: string | RegExp | undefined): boolean {
  if (filter === undefined) return true
  return typeof filter === 'string' ? name.includes(filter) : name.search(filter) >= 0
}
