import fc from 'fast-check'

/** Values that no argument of the library is meant to be, and some that a few are. */
export function junk(handles: readonly unknown[]): fc.Arbitrary<unknown> {
  const numbers = fc.oneof(
    fc.integer({ min: -2, max: 70 }),
    fc.double(),
    fc.constantFrom(-0, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e300),
  )
  const names = ['bf16', 'fp8-656', 'tree', 'neox', 'auto', '__proto__', 'length', 'constructor']
  const odd = [null, undefined, Symbol('s'), () => 0, new Map(), new Date(Number.NaN), Object.create(null)]
  const detached = new Int32Array(2)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const arrays = fc.oneof(
    fc.array(fc.oneof(numbers, fc.constantFrom(...odd)), { maxLength: 9 }),
    fc.int32Array({ maxLength: 9 }),
    fc.constantFrom<unknown>(
      new Array(2 ** 32 - 1),
      { length: 2 ** 40 },
      detached,
      new DataView(new ArrayBuffer(8)),
    ),
  )
  return fc.oneof(
    { weight: 3, arbitrary: numbers },
    { weight: 2, arbitrary: fc.constantFrom<unknown>(...odd) },
    { weight: 2, arbitrary: arrays },
    { weight: 3, arbitrary: fc.constantFrom(...handles) },
    { weight: 1, arbitrary: fc.constantFrom(...names) },
    {
      weight: 1,
      arbitrary: fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true }),
    },
  )
}

/** A valid list of arguments of which one to three parts, at any depth, are junk. */
export function spoilt(valid: readonly unknown[], bad: fc.Arbitrary<unknown>): fc.Arbitrary<unknown[]> {
  return fc.array(fc.tuple(fc.nat(), bad), { minLength: 1, maxLength: 3 }).map((changes) => {
    const args = copy(valid) as unknown[]
    const places = parts(args)
    for (const [n, value] of changes) {
      const [container, key] = places[n % places.length]
      Object.defineProperty(container, key, { value, enumerable: true, configurable: true, writable: true })
    }
    return args
  })
}

function isPlain(value: unknown): value is object {
  if (value === null || typeof value !== 'object') return false
  return Array.isArray(value) ? value.length < 100 : Object.getPrototypeOf(value) === Object.prototype
}

function copy(value: unknown): unknown {
  if (!isPlain(value)) return value
  if (Array.isArray(value)) return value.map(copy)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copy(part)]))
}

function parts(value: object): [object, string][] {
  return Object.entries(value).flatMap(([key, part]): [object, string][] => [
    [value, key],
    ...(isPlain(part) ? parts(part) : []),
  ])
}
