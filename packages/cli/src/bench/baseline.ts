import { readFile } from 'node:fs/promises'
import { usageError } from '../errors.js'
import { caseKey } from './rows.js'

/** Times to compare with, by case. */
export interface Baseline {
  /** Median microseconds of the same case, if the baseline has it. */
  find(row: object): number | undefined
}

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
    throw usageError('--baseline', `rows ${kind === null ? 'with a time' : `of kind ${kind}`}`, `none in ${path}`)
  }
  return { find: (row) => times.get(keyOf(row, kind)) }
}

const keyOf = (row: object, kind: string | null) => caseKey(kind === null ? row : { ...row, kind })

async function load(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw usageError('--baseline', 'a readable JSON file', (error as Error).message)
  }
}

function rowsOf(path: string, content: unknown): object[] {
  const rows = Array.isArray(content) ? content : (content as { rows?: unknown } | null)?.rows
  if (!Array.isArray(rows) || !rows.every((row) => typeof row === 'object' && row !== null)) {
    throw usageError('--baseline', 'a file that bench --json wrote', `no rows in ${path}`)
  }
  return rows
}
