import type { BenchRow } from './rows.js'

/** How rows of one kind of shape compare with their baselines. */
export interface Group {
  readonly name: string
  readonly rows: number
  /** Geometric mean of the speed-ups. */
  readonly geomean: number
  /** The least of them. */
  readonly least: number
}

/** Few requests wait for latencies; of many, few query rows wait for memory and many for arithmetic. */
const GROUPS = [
  ['b ≤ 16', (b: number, _: number) => b <= 16],
  ['b > 16, h_q·s_q ≤ 64', (b: number, rows: number) => b > 16 && rows <= 64],
  ['b > 16, h_q·s_q > 64', (b: number, rows: number) => b > 16 && rows > 64],
] as const

/** Sums up the dense rows that have a baseline; groups without any are left out. */
export function groupsOf(rows: readonly BenchRow[]): Group[] {
  return GROUPS.flatMap(([name, belongs]) => {
    const ratios = rows.flatMap((row) =>
      's_k' in row && row.speedup !== undefined && belongs(row.b, row.h_q * row.s_q) ? [row.speedup] : [],
    )
    if (ratios.length === 0) return []
    const logs = ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0)
    const geomean = Number(Math.exp(logs / ratios.length).toPrecision(4))
    return [{ name, rows: ratios.length, geomean, least: Math.min(...ratios) }]
  })
}
