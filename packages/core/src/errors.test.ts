import fc from 'fast-check'
import { expect, describe as group, it } from 'vitest'
import { describe, invalidArgument, inWords, isPolymlaError, PolymlaError, withArticle } from './errors.js'

group('PolymlaError', () => {
  it('carries its details and says the fix in its message', () => {
    const cause = new Error('driver')
    const error = new PolymlaError('POLYMLA_DEVICE_LOST', 'gone', { fix: 'Restart', device: 'cuda:0', cause })
    expect(error).toMatchObject({
      name: 'PolymlaError',
      code: 'POLYMLA_DEVICE_LOST',
      message: 'gone. Restart',
      fix: 'Restart',
      device: 'cuda:0',
      cause,
    })
  })

  it('tells a broken rule by path, expected, found and fix', () => {
    expect(invalidArgument('q.shape[3]', '576', 512, 'Reshape q')).toMatchObject({
      code: 'POLYMLA_INVALID_ARGUMENT',
      message: 'q.shape[3]: expected 576, found 512. Reshape q',
      path: 'q.shape[3]',
      expected: '576',
      found: '512',
    })
  })

  it('is recognised by name, so that errors of another copy of the package count', () => {
    const foreign = Object.assign(new Error('x'), { name: 'PolymlaError', code: 'POLYMLA_ABORTED' })
    expect(isPolymlaError(foreign)).toBe(true)
    expect(isPolymlaError(foreign, 'POLYMLA_ABORTED')).toBe(true)
    expect(isPolymlaError(foreign, 'POLYMLA_INTERNAL')).toBe(false)
    expect(isPolymlaError(new TypeError('x'))).toBe(false)
    expect(isPolymlaError({ name: 'PolymlaError' })).toBe(false)
  })
})

group('describe', () => {
  it.each([
    ['text', '"text"'],
    ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
    [7n, '7n'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Number.NaN, 'NaN'],
    [Symbol('s'), 'Symbol(s)'],
    [() => 0, 'a function'],
    [new Float32Array(3), 'Float32Array(3)'],
    [new DataView(new ArrayBuffer(5)), 'DataView(5)'],
    [[1, 'a', {}, () => 0, [2]], '[1, a, …, …, …]'],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9], '[1, 2, 3, 4, 5, 6, 7, 8, …]'],
    [new Map(), 'a Map'],
    [{}, 'an Object'],
    [new (class _Tensor {})(), 'a Tensor'],
    [Object.create(null), 'a null-prototype object'],
    [{ constructor: { name: Symbol('no name') } }, 'a null-prototype object'],
  ])('renders %o', (value, text) => {
    expect(describe(value)).toBe(text)
  })

  it('renders anything, and briefly', () => {
    const anything = fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true })
    const long = fc.oneof(
      fc.array(fc.string({ minLength: 50, maxLength: 100 })),
      fc.bigInt({ min: 10n ** 200n }),
    )
    fc.assert(
      fc.property(fc.oneof(anything, long), (value) => {
        expect(describe(value).length).toBeLessThan(100)
      }),
      { numRuns: 500 },
    )
  })
})

it('quotes a string that was found, not words about what was found', () => {
  expect(invalidArgument('format', 'a format', 'fp4').message).toBe('format: expected a format, found "fp4"')
  expect(invalidArgument('q', 'shape [2]', inWords('[3]')).message).toBe('q: expected shape [2], found [3]')
})

it.each([
  'a bf16 tensor',
  'an f32 tensor',
  'an e4m3 tensor',
  'an i32 tensor',
  'a u8 tensor',
  'an Int32Array',
  'a Uint16Array',
])('says %s', (text) => {
  expect(withArticle(text.replace(/^an? /, ''))).toBe(text)
})
