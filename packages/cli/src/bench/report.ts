import { digits, duration } from '../format.js'
import type { Style } from '../style.js'
import { table } from '../table.js'
import { type BenchReport, type BenchRow, caseLabel } from './rows.js'

/** The report as people read it; with baseline times, how many times faster each case ran. */
export function benchTable(report: BenchReport, style: Style): string {
  const compared = report.rows.some(({ baseline_us }) => baseline_us !== undefined)
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = ['median', 'min', 'max', 'GB/s', 'TFLOP/s', ...(compared ? ['baseline', 'speed-up'] : [])]
  const rows = report.rows.map((row) => {
    const times = [row.us, row.us_min, row.us_max].map(duration)
    const rates = [digits(row.gbps), digits(row.tflops)]
    return [caseLabel(row), ...times, ...rates, ...(compared ? comparison(row, style) : [])]
  })
  return [
    `${report.device}, ${report.date}`,
    '',
    table([{ title: 'case' }, ...columns.map(right)], rows, style),
    ...report.skipped.map((row) => `${style.yellow('skipped')} ${caseLabel(row)}: ${row.reason}`),
  ].join('\n')
}

function comparison({ baseline_us: us, speedup }: BenchRow, style: Style): string[] {
  if (us === undefined || speedup === undefined) return ['', '']
  const shown = `${speedup.toFixed(2)}x`
  return [duration(us), speedup >= 1 ? style.green(shown) : style.red(shown)]
}
