import { usageError } from '../errors.js'
import { readNamed } from '../files.js'
import { type BenchCase, type Compared, caseKey, type Timing } from './rows.js'

/** Compares a row with the same case of a baseline; nothing where the baseline has no such case. */
export type Baseline = (row: BenchCase & Timing) => Partial<Compared>

/**
 * Reads what `bench --json` wrote, or a bare array of such rows. `kinds`, when not null, name the rows to compare with
 * whatever the kind of the case: `dense.fa3.bf16` stands for another implementation of the same work. Of several, the
 * fastest counts.
 */
export async function readBaseline(path: string, kinds: readonly string[] | null): Promise<Baseline> {
  const rows = rowsOf(path, await load(path))
  const series = (kinds ?? [null]).map((kind) => ({ kind, times: timesOf(path, rows, kind) }))
  return (row) => {
    const found = series.flatMap(({ kind, times }) => {
      const us = times.get(keyOf(row, kind))
      return us === undefined ? [] : [{ kind, us }]
    })
    if (found.length === 0) return {}
    const best = Math.min(...found.map(({ us }) => us))
    const named = Object.fromEntries(found.map(({ kind, us }) => [kind, us]))
    return {
      baseline_us: best,
      speedup: Number((best / row.us).toPrecision(4)),
      ...(series.length > 1 && { baselines: named }),
    }
  }
}

function timesOf(path: string, rows: readonly object[], kind: string | null): Map<string, number> {
  const times = new Map<string, number>()
  for (const row of rows) {
    const { kind: own, us } = row as { kind?: unknown; us?: unknown }
    if (typeof us === 'number' && us > 0 && (kind === null || own === kind)) times.set(keyOf(row, kind), us)
  }
  if (times.size > 0) return times
  const expected = kind === null ? 'rows with a time' : `rows of kind ${kind}`
  throw usageError('--baseline', expected, `none in ${path}`)
}

const keyOf = (row: object, kind: string | null) => caseKey(kind === null ? row : { ...row, kind })

async function load(path: string): Promise<unknown> {
  const bytes = await readNamed('--baseline', path)
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw usageError('--baseline', 'JSON', (error as Error).message)
  }
}

function rowsOf(path: string, content: unknown): object[] {
  const rows = Array.isArray(content) ? content : (content as { rows?: unknown } | null)?.rows
  if (!Array.isArray(rows) || !rows.every((row) => typeof row === 'object' && row !== null)) {
    throw usageError('--baseline', 'a file that bench --json wrote', `no rows in ${path}`)
  }
  return rows
}
