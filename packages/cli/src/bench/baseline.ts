import { usageError } from '../errors.js'
import { readNamed } from '../files.js'
import { type BenchCase, type Compared, caseKey, type Timing } from './rows.js'

/** Compares a row with the same case of a baseline; nothing where the baseline has no such case. */
export type Baseline = (row: BenchCase & Timing) => Partial<Compared>

/**
 * Reads what `bench --json` wrote, or a bare array of such rows. `kind`, when not null, names the rows to compare with
 * whatever the kind of the case: `dense.fa3.bf16` stands for another implementation of the same work.
 */
export async function readBaseline(path: string, kind: string | null): Promise<Baseline> {
  const times = new Map<string, number>()
  for (const row of rowsOf(path, await load(path))) {
    const { kind: own, us } = row as { kind?: unknown; us?: unknown }
    if (typeof us === 'number' && us > 0 && (kind === null || own === kind)) times.set(keyOf(row, kind), us)
  }
  if (times.size === 0) {
    throw usageError(
      '--baseline',
      `rows ${kind === null ? 'with a time' : `of kind ${kind}`}`,
      `none in ${path}`,
    )
  }
  return (row) => {
    const us = times.get(keyOf(row, kind))
    return us === undefined ? {} : { baseline_us: us, speedup: Number((us / row.us).toPrecision(4)) }
  }
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
