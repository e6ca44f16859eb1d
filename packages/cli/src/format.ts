/** Numbers as people read them. */

/** Microseconds: `12.3 µs`, `4.56 ms`, `1.23 s`. */
export function duration(us: number): string {
  if (us < 1e3) return `${digits(us)} µs`
  return us < 1e6 ? `${digits(us / 1e3)} ms` : `${digits(us / 1e6)} s`
}

/** Bytes in binary units: `512 B`, `1.5 KiB`, `139 GiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), units.length - 1)
  return `${power === 0 ? count : digits(count / 2 ** (10 * power))} ${units[power]}`
}

/** An error: `0`, `2.1e-3`. */
export function error(value: number): string {
  return value === 0 ? '0' : value.toExponential(1)
}

/** Three significant digits, without an exponent for large numbers. */
export function digits(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return Number(value.toPrecision(3)).toString()
}
