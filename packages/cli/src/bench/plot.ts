import { PolymlaError } from '@polymla/core'
import type { TopLevelSpec } from 'vega-lite'
import { type BenchReport, caseLabel } from './rows.js'

/** An SVG of the median times with their range, a line per case, and the baseline's where there is one. */
export async function plotSvg(report: BenchReport): Promise<string> {
  const [vega, vegaLite] = await libraries()
  const view = new vega.View(vega.parse(vegaLite.compile(plotSpec(report)).spec), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}

function plotSpec(report: BenchReport): TopLevelSpec {
  const measured = report.rows.map((row) => ({ ...row, case: caseLabel(row), series: report.device }))
  const compared = measured.flatMap((row) => {
    const { baseline_us } = row
    const times = row.baselines ?? (baseline_us === undefined ? {} : { baseline: baseline_us })
    return Object.entries(times).map(([series, us]) => ({
      case: row.case,
      us,
      us_min: us,
      us_max: us,
      series,
    }))
  })
  const series = [...new Set(compared.map((row) => row.series))]
  const y = { field: 'case', type: 'nominal', sort: null, title: null, axis: { labelLimit: 0 } } as const
  const color = {
    field: 'series',
    type: 'nominal',
    title: null,
    legend: { orient: 'top', labelLimit: 0 },
    scale: { domain: [report.device, ...series] },
  } as const
  const scale = { type: 'log', nice: false, padding: 12 } as const
  return {
    title: `polymla bench, ${report.date}`,
    width: 560,
    height: { step: 16 },
    background: 'white',
    data: { values: [...measured, ...compared] },
    layer: [
      {
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: {
          y,
          color,
          x: { field: 'us_min', type: 'quantitative', scale, title: 'µs' },
          x2: { field: 'us_max' },
        },
      },
      {
        mark: { type: 'point', filled: true, size: 50 },
        encoding: { y, color, x: { field: 'us', type: 'quantitative', scale } },
      },
    ],
  }
}

async function libraries() {
  try {
    return await Promise.all([import('vega'), import('vega-lite')])
  } catch (cause) {
    throw new PolymlaError(
      'POLYMLA_UNSUPPORTED',
      '--plot needs vega and vega-lite, which could not be loaded',
      {
        fix: 'Install them beside polymla: npm install vega@6 vega-lite@6',
        cause,
      },
    )
  }
}
