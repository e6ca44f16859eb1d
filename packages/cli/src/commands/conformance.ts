import {
  type CaseReport,
  type ConformanceReport,
  GRID_NAMES,
  listCases,
  runConformanceOnAll,
} from '@polymla/conformance'
import type { Runtime } from '@polymla/core'
import { type Context, defineCommand } from '../command.js'
import { EXIT, usageError } from '../errors.js'
import { duration } from '../format.js'
import { runOnLibrary } from '../library-conformance.js'
import { choice, integer, part, text, texts, toggle } from '../options.js'
import { startProgress } from '../progress.js'
import { openDevice } from '../selection.js'

export const conformance = defineCommand({
  name: 'conformance',
  summary: 'run the conformance suite on a device',
  about: [
    'Checks every op of a device against an independent float64 computation, and the behaviour of its streams,',
    'events, errors and disposal. What the device refuses, with a reason, is skipped; a claim that fails, or a',
    'refusal without a reason, is a failure. Equal seeds give equal data: a failure can be repeated by its name.',
    '',
    'Several devices are checked case by case: inputs and expected results are computed once for all of them. There is one',
    'report per device then, in JSON a list of them, and the exit code is of all of them together.',
    '',
    'Grids: smoke (seconds), standard (minutes), full (FlashMLA’s own test grids and ours: for fast devices).',
    '',
    'With --library, any library on polymla_backend.h is checked, by its path and device index: first what the ABI asks',
    'of it (struct sizes, enums, a fuzz of problems, guard pages, streams, threads, memory that runs out, graphs, leaks,',
    'nothing on stdout), then the cases. It runs in processes of its own, which it may crash.',
  ].join('\n'),
  options: {
    device: texts('ID', "devices to check, or 'auto', which is the default"),
    grid: choice(GRID_NAMES, 'how much to check', 'smoke'),
    seed: integer('of all random data', 0, 0, 2 ** 32 - 1),
    timeout: integer('seconds a case may take before it counts as failed', 120, 1, 86_400),
    filter: text('TEXT', 'only cases whose name contains TEXT'),
    shard: part('one of N equal shares of those cases, for several processes or machines'),
    list: toggle('print the names of the cases and run none'),
    library: text('PATH', 'a library to check instead; --device is an index then'),
    abi: toggle('of a library, only what the ABI asks'),
    effort: integer('how much of its random problems and repetitions, from 1 on', 1, 1, 1000),
    report: text('FILE', 'of a library, also write FILE.json and FILE.md'),
    driver: text('TEXT', 'driver and runtime for that report, where the library does not tell'),
    commit: text('TEXT', 'what the library was built from, where its folder is no repository'),
    json: toggle('print the report and nothing else'),
  },
  examples: [
    ['conformance --device cuda:0 --grid standard', 'a device, in minutes'],
    ['conformance --device metax:0 --grid full --seed 7 --json > metax.json', 'everything, kept'],
    ['conformance --device cpu,cuda:0 --grid standard', 'two devices in little more than the time of one'],
    ['conformance --grid full --list --filter append', 'which cases there are'],
    ['conformance --grid full --shard 1/2 --json > first.json', 'half of them, beside another process'],
    [
      'conformance --library build/libpolymla_acme.so --report acme',
      'a port, with a report for a pull request',
    ],
  ],
  failure: 'a case failed, or none passed',
  async run(context, given) {
    const { grid, seed, timeout, filter, shard, list, json, library } = given
    if (library !== null)
      return runOnLibrary(context, { ...given, library, device: libraryDevice(given.device) })
    const chosen = { ...(filter === null ? {} : { filter }), ...(shard === null ? {} : { shard }) }
    const names = listCases(grid, chosen)
    if (names.length === 0) {
      throw usageError(
        '--filter',
        `part of the name of a case of ${grid}`,
        JSON.stringify(filter),
        'Try --list',
      )
    }
    if (list) {
      if (json) context.printJson(names)
      else context.print(names.join('\n'))
      return EXIT.ok
    }
    const { io } = context
    const runtime = context.runtime()
    const ids = await resolveAll(runtime, given.device ?? ['auto'], io.env)
    const progress = startProgress(io)
    try {
      const reports = await runConformanceOnAll({
        targets: ids.map((id) => ({
          backend:
            runtime.backends.find(({ name }) => name === id.split(':')[0]) ??
            (() => runtime.selectDevice(id)),
          device: id,
        })),
        grid,
        seed,
        timeout: timeout * 1000,
        ...chosen,
        signal: io.signal,
        onProgress: ({ name }, done, total) => progress.at(done, total, name),
      })
      progress.stop()
      if (json) context.printJson(reports.length === 1 ? reports[0] : reports)
      else for (const report of reports) printReport(context, report)
      return reports.every(({ failed, passed }) => failed === 0 && passed > 0) ? EXIT.ok : EXIT.failed
    } finally {
      progress.stop()
    }
  },
})

/** The ids of the devices that `--device` means. */
async function resolveAll(
  runtime: Runtime,
  devices: readonly string[],
  env: Context['io']['env'],
): Promise<string[]> {
  const ids: string[] = []
  for (const device of devices) {
    await using opened = await openDevice(runtime, device, env)
    if (ids.includes(opened.id)) throw usageError('--device', 'every device once', `${opened.id} twice`)
    ids.push(opened.id)
  }
  return ids
}

/** With `--library` there is one device: its index. */
function libraryDevice(devices: readonly string[] | null): string {
  if (devices === null) return 'auto'
  if (devices.length > 1) throw usageError('--device', 'one index, with --library', devices.join(','))
  return devices[0]
}

function printReport({ print, style }: Context, report: ConformanceReport): void {
  const { device, grid, seed, passed, failed, skipped } = report
  print(`${device.id} (${device.name}), grid ${grid}, seed ${seed}`)
  for (const found of report.cases.filter(({ status }) => status === 'failed')) {
    print(`${style.red('failed')} ${found.name}\n  ${found.message}`)
  }
  for (const { reason, cases } of report.skipReasons)
    print(`${style.yellow('skipped')} ${cases} ${cases === 1 ? 'case' : 'cases'}: ${reason}`)
  const counts = [
    style.green(`${passed} passed`),
    failed > 0 ? style.red(`${failed} failed`) : '0 failed',
    `${skipped} skipped`,
  ]
  print(`${counts.join(', ')} in ${duration(report.milliseconds * 1e3)}; slowest ${slowest(report.cases)}`)
}

function slowest(cases: readonly CaseReport[]): string {
  const worst = cases.reduce((a, b) => (b.milliseconds > a.milliseconds ? b : a))
  return `${worst.name} (${duration(worst.milliseconds * 1e3)})`
}
