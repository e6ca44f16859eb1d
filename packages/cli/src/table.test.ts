import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { table } from './table.js'

test('aligns columns two spaces apart, without trailing space', () => {
  const rows = [
    ['a', '1'],
    ['long', '1000'],
  ]
  const columns = [{ title: 'name' }, { title: 'n', align: 'right' as const }]
  expect(table(columns, rows, picocolors.createColors(false))).toBe(
    ['name     n', 'a        1', 'long  1000'].join('\n'),
  )
})
