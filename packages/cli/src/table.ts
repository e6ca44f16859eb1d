import Table from 'cli-table3'
import type { Style } from './style.js'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Rows in aligned columns, two spaces apart, without lines. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const sides = ['top', 'bottom', 'left', 'right', 'mid'] as const
  const none = sides.flatMap((side) =>
    ['', '-mid', ...(side === 'top' || side === 'bottom' ? ['-left', '-right'] : ['-mid'])].map((end) => `${side}${end}`),
  )
  const made = new Table({
    head: columns.map(({ title }) => style.bold(title)),
    colAligns: columns.map(({ align = 'left' }) => align),
    chars: { ...Object.fromEntries(none.map((name) => [name, ''])), middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  made.push(...rows.map((row) => [...row]))
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
