import { execFile, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { ConformanceReport, GridName } from '@polymla/conformance'
import { type AbiReport, type AbiReportFacts, abiMarkdown, runAbiSuite } from '@polymla/native'
import type { Context } from './command.js'
import { EXIT, usageError } from './errors.js'
import { duration } from './format.js'
import { startProgress } from './progress.js'
import { version } from './version.js'

export interface LibraryOptions {
  readonly library: string
  /** Index of the device. */
  readonly device: string
  readonly grid: GridName
  readonly seed: number
  readonly timeout: number
  readonly filter: string | null
  /** Without the cases of the grid. */
  readonly abi: boolean
  readonly effort: number
  readonly report: string | null
  readonly driver: string | null
  readonly commit: string | null
  readonly json: boolean
}

/** What a run on a library found. Plain data, so that it can be stored and compared. */
interface LibraryReport {
  readonly facts: AbiReportFacts
  readonly abi: AbiReport
  /** Null where no case was run, or the process that ran them ended before it could report. */
  readonly cases: ConformanceReport | null
  /** Why there are no cases; null when there are. */
  readonly noCases: string | null
}

/** The name that the library's devices have while its cases run. */
const NAME = 'port'

/** This program, for the processes that run cases: from dist, or from src beside it. */
const PROGRAM = ['./main.js', '../dist/main.js'].map((file) => fileURLToPath(new URL(file, import.meta.url)))

/** Runs the ABI suite and a grid of cases on a library, each in processes of their own. Resolves to the exit code. */
export async function runOnLibrary(context: Context, given: LibraryOptions): Promise<number> {
  const { io, printJson } = context
  const library = resolve(given.library)
  if (!existsSync(library))
    throw usageError('--library', 'the path of a library', JSON.stringify(given.library))
  const device = indexOf(given.device)
  const progress = startProgress(io)
  let abi: AbiReport
  try {
    abi = await runAbiSuite({
      library,
      device,
      seed: given.seed,
      effort: given.effort,
      timeout: given.timeout * 1000,
      ...(given.filter !== null && { filter: given.filter }),
      signal: io.signal,
      onProgress: ({ name }, done, total) => progress.at(done, total, `ABI: ${name}`),
    })
  } finally {
    progress.stop()
  }
  const report: LibraryReport = {
    facts: {
      driver: given.driver ?? abi.library.driver ?? undefined,
      commit: given.commit ?? (await commitOf(library)) ?? undefined,
      polymla: version(),
      date: new Date().toISOString(),
    },
    abi,
    ...(await casesOf(library, device, abi, given, io)),
  }
  const markdown = `${abiMarkdown(abi, report.facts)}\n${casesMarkdown(report)}`
  if (given.report !== null) {
    writeFileSync(`${given.report}.json`, `${JSON.stringify(report, null, 2)}\n`)
    writeFileSync(`${given.report}.md`, markdown)
  }
  if (given.json) printJson(report)
  else printReport(context, report)
  return isGood(report, given) ? EXIT.ok : EXIT.failed
}

function indexOf(device: string): number {
  if (device === 'auto') return 0
  if (!/^\d{1,4}$/.test(device))
    throw usageError('--device', 'the index of a device of the library', JSON.stringify(device))
  return Number(device)
}

/** A library that has no device, and says so, is in order; one whose cases were to run must have passed some. */
function isGood({ abi, cases, noCases }: LibraryReport, given: LibraryOptions): boolean {
  if (abi.failed > 0) return false
  if (cases) return cases.failed === 0 && cases.passed > 0
  return given.abi || noCases === NO_DEVICE
}

const NO_DEVICE = 'the library has no usable device'

async function casesOf(
  library: string,
  device: number,
  abi: AbiReport,
  { grid, seed, timeout, filter, abi: abiOnly }: LibraryOptions,
  { env, signal }: Context['io'],
): Promise<Pick<LibraryReport, 'cases' | 'noCases'>> {
  const none = (noCases: string) => ({ cases: null, noCases })
  if (abiOnly) return none('only the ABI suite was asked for')
  if (abi.library.name === null) return none('the library could not be loaded')
  if (!abi.library.devices[device]?.usable) return none(NO_DEVICE)
  const program = PROGRAM.find((path) => existsSync(path))
  if (program === undefined) return none('polymla itself is not built')
  const args = ['conformance', '--device', `${NAME}:${device}`, '--grid', grid, '--seed', `${seed}`]
  args.push('--timeout', `${timeout}`, '--json', ...(filter === null ? [] : ['--filter', filter]))
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...env, POLYMLA_VENDOR_PLUGIN: `${NAME}=${library}`, POLYMLA_BACKENDS: NAME, POLYMLA_DEVICE: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = () => child.kill('SIGKILL')
  signal.addEventListener('abort', kill)
  const [stdout, stderr, [code, killer]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    new Promise<[number | null, NodeJS.Signals | null]>((done) => child.once('exit', (...how) => done(how))),
  ])
  signal.removeEventListener('abort', kill)
  signal.throwIfAborted()
  try {
    return { cases: JSON.parse(stdout) as ConformanceReport, noCases: null }
  } catch {
    const how = killer ? `ended by ${killer}` : `ended with exit code ${code}`
    const said = stderr.trim().split('\n').at(-1) ?? ''
    return none(`the process that ran them ${how}${said && `: ${said}`}`)
  }
}

/** The commit that the folder of a library is at, where there is a repository and git. */
function commitOf(library: string): Promise<string | null> {
  return new Promise((done) => {
    execFile('git', ['-C', dirname(library), 'rev-parse', 'HEAD'], (error, stdout) => {
      done(error ? null : stdout.trim())
    })
  })
}

function casesMarkdown({ cases, noCases }: LibraryReport): string {
  if (!cases) return `No cases: ${noCases}.\n`
  const { grid, seed, passed, failed, skipped, skipReasons } = cases
  return [
    `## Cases of grid ${grid}, seed ${seed}: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    '',
    ...cases.cases
      .filter(({ status }) => status === 'failed')
      .map(({ name, message }) => `- **${name}** failed: ${message}`),
    ...skipReasons.map(({ reason, cases: count }) => `- skipped ${count}: ${reason}`),
    '',
  ].join('\n')
}

function printReport({ print, style }: Context, { abi, cases, noCases, facts }: LibraryReport): void {
  const { library, device } = abi
  const described = library.devices[device]
  print(`${library.path}${library.name ? `: ${library.name} ${library.version}, ABI ${library.abi}` : ''}`)
  print(`device ${device}: ${described ? `${described.name} (${described.arch})` : 'none'}`)
  print(`driver ${facts.driver ?? 'not given'}, commit ${facts.commit ?? 'not given'}`)
  for (const { name, status, message } of abi.checks) {
    const shown = { passed: style.green, failed: style.red, skipped: style.yellow }[status](status)
    print(`${shown} ${name}\n  ${message}`)
  }
  print(`ABI: ${summary(abi, style)} in ${duration(abi.milliseconds * 1e3)}`)
  if (!cases) {
    print(`no cases: ${noCases}`)
    return
  }
  for (const { name, status, message } of cases.cases) {
    if (status === 'failed') print(`${style.red('failed')} ${name}\n  ${message}`)
  }
  for (const { reason, cases: count } of cases.skipReasons)
    print(`${style.yellow('skipped')} ${count}: ${reason}`)
  print(`cases: ${summary(cases, style)} in ${duration(cases.milliseconds * 1e3)}`)
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

function summary({ passed, failed, skipped }: Counts, style: Context['style']): string {
  return `${style.green(`${passed} passed`)}, ${failed > 0 ? style.red(`${failed} failed`) : '0 failed'}, ${skipped} skipped`
}
