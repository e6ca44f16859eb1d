import { describe, expect, it } from 'vitest'
import { PolymlaError } from '../errors.js'
import { unavailableReason } from './unavailable-reason.js'

const load = 'POLYMLA_BACKEND_LOAD_FAILED'

describe('unavailableReason', () => {
  it.each<[string, unknown, object]>([
    [
      'of an error with a fix: message and fix apart',
      new PolymlaError('POLYMLA_DRIVER_TOO_OLD', 'driver 1 of 2', { fix: 'Update it' }),
      { code: 'POLYMLA_DRIVER_TOO_OLD', message: 'driver 1 of 2', fix: 'Update it' },
    ],
    [
      'of an error without one: its code, and the given fix',
      new PolymlaError('POLYMLA_DEVICE_LOST', 'gone'),
      { code: 'POLYMLA_DEVICE_LOST', message: 'gone', fix: 'Reinstall' },
    ],
    ['of any other error', new TypeError('x'), { code: load, message: 'x', fix: 'Reinstall' }],
    ['of what is no error', 7, { code: load, message: '7', fix: 'Reinstall' }],
  ])('%s', (_what, failure, reason) => {
    expect(unavailableReason(failure, 'Reinstall')).toEqual(reason)
  })
})
