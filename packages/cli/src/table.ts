import Table from 'cli-table3'
import type { Style } from './style.js'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** The lines around cells that cli-table3 draws unless they are empty. */
const BORDERS =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'
const NO_BORDERS = Object.fromEntries(BORDERS.split(' ').map((name) => [name, '']))

/** Rows in aligned columns, two spaces apart, without lines. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const made = new Table({
    head: columns.map(({ title }) => style.bold(title)),
    colAligns: columns.map(({ align = 'left' }) => align),
    chars: { ...NO_BORDERS, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  made.push(...rows.map((row) => [...row]))
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
