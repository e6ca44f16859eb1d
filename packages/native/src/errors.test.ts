import { describe, expect, it } from 'vitest'
import { codeOf, nativeError } from './errors.js'
import { failure } from './plugins.fixtures.js'

describe('nativeError', () => {
  it('carries everything that the library said', () => {
    const error = nativeError(7, 0, 'the device is busy', 'End the other process', 'cpu:1')
    expect(error).toEqual(
      failure('POLYMLA_DEVICE_UNAVAILABLE', /^the device is busy. End the other process$/, {
        fix: 'End the other process',
        device: 'cpu:1',
      }),
    )
  })

  it('leaves out what there is none of', () => {
    expect(nativeError(4, 0, 'full', '', '')).toEqual(
      failure('POLYMLA_OUT_OF_MEMORY', /^full$/, { fix: undefined, device: undefined }),
    )
  })

  it("names the runtime's own error number, and a status that this version does not know", () => {
    expect(nativeError(10, -700, 'kernel x failed', '', '')).toEqual(
      failure('POLYMLA_INTERNAL', /^kernel x failed \(native code -700\)$/),
    )
    expect(nativeError(99, 5, 'odd', '', '')).toEqual(
      failure('POLYMLA_INTERNAL', /^odd \(status 99, native code 5\)$/),
    )
  })
})

it.each([
  [-2, 'POLYMLA_DISPOSED'],
  [-1, 'POLYMLA_BACKEND_LOAD_FAILED'],
  [1, 'POLYMLA_INTERNAL'],
  [2, 'POLYMLA_INVALID_ARGUMENT'],
  [3, 'POLYMLA_UNSUPPORTED'],
  [5, 'POLYMLA_DEVICE_NOT_FOUND'],
  [6, 'POLYMLA_DRIVER_TOO_OLD'],
  [8, 'POLYMLA_DEVICE_LOST'],
  [9, 'POLYMLA_CAPTURE_ILLEGAL'],
  [11, 'POLYMLA_API_VERSION'],
  [12, 'POLYMLA_INTERNAL'],
  [-2147483648, 'POLYMLA_INTERNAL'],
])('status %d is %s', (status, code) => {
  expect(codeOf(status)).toBe(code)
})
