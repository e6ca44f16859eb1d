import type { DevicePeaks } from '@polymla/core'
import { digits, duration } from '../format.js'
import type { Style } from '../style.js'
import { table } from '../table.js'
import { type BenchReport, type BenchRow, caseLabel } from './rows.js'

/** The report as people read it; with baseline times, how many times faster each case ran. */
export function benchTable(report: BenchReport, style: Style): string {
  const compared = report.rows.some(({ baseline_us }) => baseline_us !== undefined)
  const efficient = report.rows.some(({ of_peak }) => of_peak !== undefined)
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    ...['median', 'min', 'max', 'GB/s', 'TFLOP/s'],
    ...(efficient ? ['of peak'] : []),
    ...(compared ? ['baseline', 'speed-up'] : []),
  ]
  const rows = report.rows.map((row) => {
    const times = [row.us, row.us_min, row.us_max].map(duration)
    const rates = [digits(row.gbps), digits(row.tflops)]
    return [
      caseLabel(row),
      ...times,
      ...rates,
      ...(efficient ? [ofPeak(row)] : []),
      ...(compared ? comparison(row, style) : []),
    ]
  })
  return [
    `${report.device}, ${report.date}`,
    ...(report.peaks ? [peaksLine(report.peaks)] : []),
    '',
    table([{ title: 'case' }, ...columns.map(right)], rows, style),
    ...report.skipped.map((row) => `${style.yellow('skipped')} ${caseLabel(row)}: ${row.reason}`),
  ].join('\n')
}

/** The denominators of `of peak`. */
export function peaksLine(peaks: DevicePeaks): string {
  const { readBytesPerSecond, bf16FlopsPerSecond, f16FlopsPerSecond, f32FlopsPerSecond } = peaks
  const rates = [
    ['reading', readBytesPerSecond / 1e9, 'GB/s'],
    ['bf16', bf16FlopsPerSecond / 1e12, 'TFLOP/s'],
    ['f16', f16FlopsPerSecond / 1e12, 'TFLOP/s'],
    ['f32', f32FlopsPerSecond / 1e12, 'TFLOP/s'],
  ] as const
  const measured = rates.filter(([, rate]) => rate > 0)
  return `measured peaks: ${measured.map(([what, rate, unit]) => `${what} ${digits(rate)} ${unit}`).join(', ')}`
}

function ofPeak({ of_peak, bound }: BenchRow): string {
  return of_peak === undefined ? '' : `${Math.round(of_peak * 100)}% ${bound}`
}

function comparison({ baseline_us: us, speedup }: BenchRow, style: Style): string[] {
  if (us === undefined || speedup === undefined) return ['', '']
  const shown = `${speedup.toFixed(2)}x`
  return [duration(us), speedup >= 1 ? style.green(shown) : style.red(shown)]
}
