import { digits, duration } from '../format.js'
import type { Style } from '../style.js'
import { table } from '../table.js'
import type { Baseline } from './baseline.js'
import { type BenchReport, caseLabel } from './rows.js'

/** The report as people read it; with a baseline, how many times faster than it each case ran. */
export function benchTable(report: BenchReport, baseline: Baseline | null, style: Style): string {
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = ['median', 'min', 'max', 'GB/s', 'TFLOP/s', ...(baseline ? ['baseline', 'speed-up'] : [])]
  const rows = report.rows.map((row) => {
    const times = [row.us, row.us_min, row.us_max].map(duration)
    const rates = [digits(row.gbps), digits(row.tflops)]
    return [caseLabel(row), ...times, ...rates, ...(baseline ? compared(row.us, baseline.find(row), style) : [])]
  })
  return [
    `${report.device}, ${report.date}`,
    '',
    table([{ title: 'case' }, ...columns.map(right)], rows, style),
    ...report.skipped.map((row) => `${style.yellow('skipped')} ${caseLabel(row)}: ${row.reason}`),
  ].join('\n')
}

function compared(us: number, baselineUs: number | undefined, style: Style): string[] {
  if (baselineUs === undefined) return ['', '']
  const ratio = baselineUs / us
  const shown = `${ratio.toFixed(2)}x`
  return [duration(baselineUs), ratio >= 1 ? style.green(shown) : style.red(shown)]
}
