import type { Random } from '../random.js'

/** A query row of a batch. */
export interface Row {
  readonly request: number
  readonly token: number
  readonly head: number
}

/** Query rows [batch, queryTokens, heads] and what an oracle spends on one row of a request. */
export interface RowGrid {
  readonly batch: number
  readonly queryTokens: number
  readonly heads: number
  /** Multiplications for one row of this request. */
  cost(request: number): number
}

/**
 * The rows to check: all when that costs at most `budget` multiplications; else the first and the last row of every
 * request, and random ones as the budget allows. Where even those are too many, every request keeps one: the first, the
 * last or a random one, in turn. Ordered by request, token and head.
 */
export function chooseRows(grid: RowGrid, budget: number, random: Random): Row[] {
  const { batch, queryTokens, heads } = grid
  const perRequest = queryTokens * heads
  let single = 0
  for (let request = 0; request < batch; request++) single += grid.cost(request)
  const affordable = single === 0 ? perRequest : Math.floor(budget / single)

  const rows: Row[] = []
  for (let request = 0; request < batch; request++) {
    for (const row of rowsOfRequest(request, perRequest, affordable, random)) {
      rows.push({ request, token: Math.floor(row / heads), head: row % heads })
    }
  }
  return rows
}

function rowsOfRequest(request: number, rows: number, affordable: number, random: Random): Iterable<number> {
  if (affordable >= rows) return Array(rows).keys()
  if (affordable < 2) return [[0, rows - 1, random.integer(0, rows - 1)][request % 3]]
  const chosen = new Set([0, rows - 1])
  for (let i = 2; i < affordable; i++) chosen.add(random.integer(0, rows - 1))
  return [...chosen].sort((a, b) => a - b)
}

/** Expected results of chosen rows: `out` [rows, valueDim], `lse` and `maxLogits` [rows]. */
export class ExpectedRows {
  readonly rows: readonly Row[]
  readonly valueDim: number
  readonly out: Float64Array
  readonly lse: Float64Array
  readonly maxLogits: Float64Array

  constructor(rows: readonly Row[], valueDim: number) {
    this.rows = rows
    this.valueDim = valueDim
    this.out = new Float64Array(rows.length * valueDim)
    this.lse = new Float64Array(rows.length)
    this.maxLogits = new Float64Array(rows.length)
  }

  set(
    i: number,
    result: { readonly out: Float64Array; readonly lse: number; readonly maxLogit: number },
  ): void {
    this.out.set(result.out, i * this.valueDim)
    this.lse[i] = result.lse
    this.maxLogits[i] = result.maxLogit
  }
}
