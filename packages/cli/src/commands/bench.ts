import { writeFile } from 'node:fs/promises'
import { type Device, isPolymlaError } from '@polymla/core'
import { type Baseline, readBaseline } from '../bench/baseline.js'
import { measureCalls } from '../bench/calls.js'
import { GRIDS, grid, product } from '../bench/grids.js'
import { groupsOf } from '../bench/groups.js'
import { measure } from '../bench/measure.js'
import { plotSvg } from '../bench/plot.js'
import { benchTable } from '../bench/report.js'
import { type BenchCase, type BenchReport, type BenchRow, caseLabel } from '../bench/rows.js'
import { type Context, defineCommand } from '../command.js'
import { EXIT, usageError } from '../errors.js'
import { byteSize, choice, integer, integers, text, texts, toggle, type Values } from '../options.js'
import { startProgress } from '../progress.js'
import { openDevice } from '../selection.js'

const options = {
  device: text('ID', "device to measure, or 'auto'", 'auto'),
  grid: choice(
    GRIDS,
    'which cases to run, unless --batch, --query-tokens, --len or --heads give them',
    'smoke',
  ),
  batch: integers('requests; every combination of these lists is a case', 1, 2 ** 16),
  'query-tokens': integers('query tokens per request', 1, 2 ** 16),
  len: integers('tokens per request', 1, 2 ** 24),
  heads: integers('query heads', 1, 2 ** 16),
  causal: toggle('with those lists: causal mask'),
  varlen: toggle('with those lists: normal lengths around --len, deviation half of it, at least 1'),
  format: choice(['bf16', 'fp16', 'f32', 'e4m3'], 'format of the cache in dense cases', 'bf16'),
  filter: text('TEXT', 'only cases whose label contains TEXT, e.g. "s_k4096 h_q128"'),
  runs: integer('measured runs; the median counts', 20, 1, 1e6),
  warmup: integer('runs before them', 3, 0, 1e6),
  flush: byteSize(
    'memory to fill before each run, so that caches are cold; 0 for warm caches. 4GB, on a CPU 256MB',
  ),
  seed: integer('of lengths, pages and numbers', 0, 0, 2 ** 32 - 1),
  baseline: text('FILE', 'compare with the times in FILE, written by bench --json'),
  'baseline-kind': texts(
    'KIND',
    'compare with the rows of these kinds in FILE, instead of the same kind; the fastest counts',
  ),
  calls: toggle('also time what calls cost the host, and steps of 61 layers as one graph'),
  commit: text('ID', 'what was measured, to be kept in the JSON'),
  plot: text('FILE.svg', 'draw the times, and those of the baseline'),
  json: toggle('print the report and nothing else'),
}

/** Kinds of dense cases by cache format, named as in published measurements. */
const KINDS = { bf16: 'dense.bf16', fp16: 'dense.fp16', f32: 'dense.f32', e4m3: 'dense.fp8' } as const

type BenchOptions = Values<typeof options>

export const bench = defineCommand({
  name: 'bench',
  summary: 'measure a device: times, GB/s, TFLOP/s, and the ratio to a baseline',
  about: [
    "Times whole calls on the device's own clock, with cold caches: before each run a large block of memory is",
    'filled. FLOP = 2 · rows · tokens · (d_qk + d_v); bytes = queries, keys and outputs once each; both as FlashMLA',
    'counts them. Where a device can measure what it does at best, a case is held against the peak that binds it.',
    'Lengths of varlen cases are those of Python: random.seed(SEED), random.normalvariate.',
    '',
    'Grids: smoke (seconds anywhere), cpu (single machines), dense-h200, sparse-h200 and prefill-h200 (serving',
    'shapes of an H200; many need its memory), ops (append, copy, merge). A case that the device cannot run is listed with the reason.',
  ].join('\n'),
  options,
  examples: [
    ['bench', 'a few small cases on the device that auto takes'],
    ['bench --device cuda:0 --grid dense-h200 --format e4m3 --json > fp8.json', 'a grid, kept'],
    ['bench --grid dense-h200 --baseline before.json --plot times.svg', 'against an earlier run'],
    [
      'bench --device cuda:0 --grid dense-h200 --baseline bench/anchors/h200.json --baseline-kind dense.bf16,dense.fa3.bf16',
      'against FlashMLA and FlashAttention-3',
    ],
    ['bench --batch 1,64 --len 4096,8192 --heads 16,128 --varlen', 'cases of your own'],
  ],
  failure: 'no case could be measured',
  async run(context, given) {
    const cases = chosenCases(given)
    const baseline =
      given.baseline === null ? null : await readBaseline(given.baseline, given['baseline-kind'])
    await using device = await openDevice(context.runtime(), given.device, context.io.env)
    const report = await runCases(context, device, cases, baseline, given)
    if (given.json) context.printJson(report)
    else context.print(benchTable(report, context.style))
    if (given.plot !== null) await writePlot(given.plot, report)
    return report.rows.length > 0 ? EXIT.ok : EXIT.failed
  },
})

function chosenCases(given: BenchOptions): BenchCase[] {
  const { batch, 'query-tokens': queryTokens, len, heads, causal, varlen, filter } = given
  const kind = KINDS[given.format]
  const listed = batch ?? queryTokens ?? len ?? heads
  if (!listed && (causal || varlen)) {
    throw usageError(
      causal ? '--causal' : '--varlen',
      'one of --batch, --query-tokens, --len, --heads too',
      'none',
    )
  }
  const cases = listed
    ? product(batch ?? [1], queryTokens ?? [1], len ?? [4096], heads ?? [128], kind, { causal, varlen })
    : grid(given.grid, kind)
  const kept = cases.filter((row) => filter === null || caseLabel(row).includes(filter))
  if (kept.length === 0) {
    throw usageError(
      '--filter',
      'part of a label',
      JSON.stringify(filter),
      `A label is: ${caseLabel(cases[0])}`,
    )
  }
  return kept
}

async function runCases(
  { io }: Context,
  device: Device,
  cases: readonly BenchCase[],
  baseline: Baseline | null,
  given: BenchOptions,
): Promise<BenchReport> {
  const rows: BenchRow[] = []
  const skipped: (BenchCase & { reason: string })[] = []
  const { runs, warmup, seed } = given
  const size = given.flush ?? (device.info.score < ACCELERATOR_SCORE ? 256e6 : 4e9)
  using flush = size > 0 ? device.empty({ shape: [size], dtype: 'u8' }) : null
  const peaks = await device.measurePeaks()
  const progress = startProgress(io)
  try {
    for (const [i, row] of cases.entries()) {
      progress.at(i, cases.length, caseLabel(row))
      try {
        const timing = await measure(device, row, { runs, warmup, seed, flush, peaks, signal: io.signal })
        const measured = { ...row, ...timing }
        rows.push({ ...measured, ...baseline?.(measured) })
      } catch (error) {
        if (!isPolymlaError(error, 'POLYMLA_UNSUPPORTED') && !isPolymlaError(error, 'POLYMLA_OUT_OF_MEMORY'))
          throw error
        skipped.push({ ...row, reason: error.message })
      }
    }
  } finally {
    progress.stop()
  }
  const calls = given.calls ? await measureCalls(device, io.signal) : null
  const groups = groupsOf(rows)
  const { name, driver } = device.info
  return {
    device: `${device.id} (${name})`,
    ...(driver !== undefined && { driver }),
    date: new Date().toISOString(),
    ...(given.commit !== null && { commit: given.commit }),
    peaks,
    rows,
    ...(groups.length > 0 && { groups }),
    ...(calls && { calls }),
    skipped,
  }
}

/** Scores from here on are accelerators'. */
const ACCELERATOR_SCORE = 100

async function writePlot(path: string, report: BenchReport): Promise<void> {
  const svg = await plotSvg(report)
  try {
    await writeFile(path, svg)
  } catch (error) {
    throw usageError('--plot', 'a file that can be written', (error as Error).message)
  }
}
