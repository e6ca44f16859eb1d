import { expect, test } from 'vitest'
import { bytes, digits, duration, error } from './format.js'

test('durations', () => {
  expect([0, 9.876, 999.4, 4560, 1.234e6].map(duration)).toEqual([
    '0 µs',
    '9.88 µs',
    '999 µs',
    '4.56 ms',
    '1.23 s',
  ])
})

test('bytes', () => {
  expect([0, 512, 1536, 139 * 2 ** 30].map(bytes)).toEqual(['0 B', '512 B', '1.5 KiB', '139 GiB'])
})

test('errors and digits', () => {
  expect([0, 0.00214].map(error)).toEqual(['0', '2.1e-3'])
  expect([0.01234, 12.34, 1234.5].map(digits)).toEqual(['0.0123', '12.3', '1235'])
})
