import type { DevicePeaks } from '@polymla/core'
import { digits, duration } from '../format.js'
import type { Style } from '../style.js'
import { table } from '../table.js'
import type { CallRow } from './calls.js'
import { type BenchReport, type BenchRow, caseLabel } from './rows.js'

/** The report as people read it; with baseline times, how many times faster each case ran. */
export function benchTable(report: BenchReport, style: Style): string {
  const compared = report.rows.some(({ baseline_us }) => baseline_us !== undefined)
  const kinds = [...new Set(report.rows.flatMap(({ baselines = {} }) => Object.keys(baselines)))]
  const efficient = report.rows.some(({ of_peak }) => of_peak !== undefined)
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    ...['median', 'min', 'max', 'GB/s', 'TFLOP/s'],
    ...(efficient ? ['of peak'] : []),
    ...(compared ? [...(kinds.length > 0 ? kinds : ['baseline']), 'speed-up'] : []),
  ]
  const rows = report.rows.map((row) => {
    const times = [row.us, row.us_min, row.us_max].map(duration)
    const rates = [digits(row.gbps), digits(row.tflops)]
    return [
      caseLabel(row),
      ...times,
      ...rates,
      ...(efficient ? [ofPeak(row)] : []),
      ...(compared ? comparison(row, kinds, style) : []),
    ]
  })
  return [
    `${report.device}, ${report.driver === undefined ? '' : `driver ${report.driver}, `}${report.date}`,
    ...(report.peaks ? [peaksLine(report.peaks)] : []),
    '',
    table([{ title: 'case' }, ...columns.map(right)], rows, style),
    ...(report.groups ?? []).map(
      ({ name, rows, geomean, least }) =>
        `${name}: ${rows} cases, ${geomean.toFixed(3)}x in the geometric mean, ${least.toFixed(3)}x at least`,
    ),
    ...(report.calls ?? []).map(callLine),
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

function comparison(row: BenchRow, kinds: readonly string[], style: Style): string[] {
  const { baseline_us: us, speedup, baselines } = row
  const times = kinds.length > 0 ? kinds.map((kind) => baselines?.[kind]) : [us]
  const shown = times.map((time) => (time === undefined ? '' : duration(time)))
  if (speedup === undefined) return [...shown, '']
  const ratio = `${speedup.toFixed(2)}x`
  return [...shown, speedup >= 1 ? style.green(ratio) : style.red(ratio)]
}

function callLine(row: CallRow): string {
  const times = `${duration(row.us)} (${duration(row.us_min)} to ${duration(row.us_max)})`
  if (row.kind !== 'step.graph') return `${row.kind}, on the host: ${times}`
  const { b, s_k, h_q, layers } = row
  const each = duration(row.us / layers)
  return `${row.kind} of ${layers} layers, b${b} s_k${s_k} h_q${h_q}: ${times}, ${each} a layer`
}
