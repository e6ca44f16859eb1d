import type { Comparison, VerifiedCase } from '@polymla/conformance'
import { digits, duration, error } from './format.js'
import type { Style } from './style.js'
import { table } from './table.js'

const MEASURED = ['out vs float64', 'out vs FlashMLA', 'lse vs float64', 'time', 'GB/s', 'TFLOP/s']

/**
 * A row per case: relative 2-norms of out, largest absolute difference of lse, time and rates, as far as any case has
 * them; then what is wrong.
 */
export function goldenTable(cases: readonly VerifiedCase[], style: Style): string {
  const cells = cases.map(measured)
  const shown = MEASURED.map((_, column) => cells.some((row) => row[column] !== ''))
  const titles = MEASURED.filter((_, column) => shown[column])
  const columns = [
    { title: 'case' },
    ...titles.map((title) => ({ title, align: 'right' as const })),
    { title: '' },
  ]
  const rows = cases.map((found, i) => [
    found.name,
    ...cells[i].filter((_, column) => shown[column]),
    status(found, style),
  ])
  const messages = cases.flatMap(({ name, message }) => (message === null ? [] : [`${name}: ${message}`]))
  return [table(columns, rows, style), ...messages].join('\n')
}

function measured({
  float64,
  flashMla,
  microseconds,
  gigabytesPerSecond,
  teraflopsPerSecond,
}: VerifiedCase): string[] {
  const lse = find(float64, 'lse')
  return [
    relative(find(float64, 'out')),
    relative(find(flashMla, 'out')),
    lse ? error(lse.maxAbsolute) : '',
    microseconds === null ? '' : duration(microseconds),
    gigabytesPerSecond === null ? '' : digits(gigabytesPerSecond),
    teraflopsPerSecond === null ? '' : digits(teraflopsPerSecond),
  ]
}

const find = (comparisons: readonly Comparison[], name: string) =>
  comparisons.find(({ tensor }) => tensor === name)
const relative = (out: Comparison | undefined) => (out ? error(out.relativeNorm) : '')

function status({ status: word }: VerifiedCase, style: Style): string {
  const colour = { passed: style.green, failed: style.red, skipped: style.yellow }[word]
  return colour(word)
}
