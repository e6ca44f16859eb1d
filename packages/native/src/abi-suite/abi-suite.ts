import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { invalidArgument, isPolymlaError } from '@polymla/core'
import { notBuilt, PLATFORM } from '../addon.js'
import { collect, drainAfterExit, lastLine } from '../child-output.js'
import { checkLibrary } from '../loading/index.js'

/** What one check of the suite found. */
export interface AbiCheck {
  readonly name: string
  /** What a library that passes it does. */
  readonly about: string
  readonly status: 'passed' | 'failed' | 'skipped'
  /** What was looked at, what is wrong, or why it does not apply. */
  readonly message: string
  readonly milliseconds: number
}

export interface AbiDevice {
  readonly usable: boolean
  readonly name: string
  readonly arch: string
  readonly reason: string
}

/** What a library says of itself; nulls where it could not be asked. */
export interface AbiLibrary {
  readonly path: string
  readonly name: string | null
  readonly version: string | null
  readonly abi: string | null
  /** Driver and runtime, where the library tells by the extension `polymla.driver`. */
  readonly driver: string | null
  readonly devices: readonly AbiDevice[]
}

/** What a run found. Plain data, so that it can be stored and compared. */
export interface AbiReport {
  readonly library: AbiLibrary
  /** Index of the device that was used. */
  readonly device: number
  readonly seed: number
  readonly effort: number
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly milliseconds: number
  readonly checks: readonly AbiCheck[]
}

export interface AbiSuiteOptions {
  /** Absolute path of the library. */
  readonly library: string
  /** Index of the device. Default: 0. */
  readonly device?: number
  /** Settings of the device. */
  readonly options?: Readonly<Record<string, string>>
  /** Of random problems. Default: 1. */
  readonly seed?: number
  /** How much of what is random and repeated, from 1 on. Default: 1. */
  readonly effort?: number
  /** Only checks whose name contains this. */
  readonly filter?: string
  /** Milliseconds a check may take. Default: 300 s. */
  readonly timeout?: number
  readonly signal?: AbortSignal
  /** Called after each check. */
  readonly onProgress?: (check: AbiCheck, done: number, total: number) => void
}

/** From dist, which holds the program, or from src beside it. */
const PROGRAM = ['./native/', '../native/', '../../dist/native/'].map((folder) =>
  fileURLToPath(new URL(`${folder}${PLATFORM}/polymla-abi-suite`, import.meta.url)),
)

/** Names and meanings of the checks, in the order in which they run. */
export async function listAbiChecks(): Promise<readonly Pick<AbiCheck, 'name' | 'about'>[]> {
  const { report } = await runProgram(['list'], { timeout: TIMEOUT_MS })
  return JSON.parse(report)
}

const TIMEOUT_MS = 300_000

/**
 * Runs the ABI suite against a library: what `polymla_backend.h` asks of it beside right numbers. Each check has a process
 * of its own, so a library that crashes, ends the process, hangs or prints on stdout fails that check and no other.
 *
 * Rejects with `POLYMLA_BACKEND_LOAD_FAILED` where the suite is not built, and with the signal's reason when it fires;
 * everything that is wrong with the library is in the report.
 */
export async function runAbiSuite(given: AbiSuiteOptions): Promise<AbiReport> {
  const { library, device = 0, options = {}, seed = 1, effort = 1, filter = '', timeout = TIMEOUT_MS } = given
  const { signal, onProgress } = given
  if (typeof library !== 'string') throw invalidArgument('library', 'the path of a library', library)
  const start = performance.now()
  const limits = { timeout, ...(signal && { signal }) }
  const all = await listAbiChecks()
  const chosen = all.filter(({ name }) => name.includes(filter))
  const file = await checkFile(library)
  const checks: AbiCheck[] = [file]
  const asked = file.status === 'passed' ? await describeLibrary(library, limits) : unknownLibrary(library)
  if (file.status === 'passed') {
    const unusable = whyNotRun(asked, device)
    for (const { name, about } of chosen) {
      const settings = Object.entries(options).flat()
      const found: AbiCheck =
        unusable !== null && !WITHOUT_DEVICE.includes(name)
          ? { name, about, status: 'skipped', message: unusable, milliseconds: 0 }
          : {
              name,
              about,
              ...(await runCheck([library, name, `${device}`, `${seed}`, `${effort}`, ...settings], limits)),
            }
      checks.push(found)
      onProgress?.(found, checks.length - 1, chosen.length)
    }
  }
  const count = (status: AbiCheck['status']) => checks.filter((check) => check.status === status).length
  return {
    library: asked,
    device,
    seed,
    effort,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    milliseconds: performance.now() - start,
    checks,
  }
}

/** Checks that a library without a usable device can pass. */
const WITHOUT_DEVICE = ['table', 'devices']

/** What the host looks at before it loads a library, as a check. */
async function checkFile(library: string): Promise<AbiCheck> {
  const about =
    'the file may be loaded: its owner, its permissions, its ELF headers, what it is linked against'
  const start = performance.now()
  const ended = (status: AbiCheck['status'], message: string) => ({
    name: 'file',
    about,
    status,
    message,
    milliseconds: performance.now() - start,
  })
  try {
    await checkLibrary(library, { origin: 'user' })
    return ended('passed', library)
  } catch (error) {
    if (!isPolymlaError(error)) throw error
    return ended('failed', error.message)
  }
}

const unknownLibrary = (path: string): AbiLibrary => ({
  path,
  name: null,
  version: null,
  abi: null,
  driver: null,
  devices: [],
})

async function describeLibrary(path: string, limits: Limits): Promise<AbiLibrary> {
  const { report } = await runProgram(['describe', path], limits)
  try {
    const { name, version, abi, driver, devices } = JSON.parse(report)
    if (typeof name !== 'string') return unknownLibrary(path)
    return { path, name, version, abi, driver: driver || null, devices }
  } catch {
    return unknownLibrary(path)
  }
}

function whyNotRun({ name, devices }: AbiLibrary, device: number): string | null {
  if (name === null) return null
  const found = devices[device]
  if (found?.usable) return null
  return found ? `device ${device} cannot be used: ${found.reason}` : `the library has no device ${device}`
}

async function runCheck(args: readonly string[], limits: Limits) {
  const start = performance.now()
  const { report, ending, printed, complaints } = await runProgram(['run', ...args], limits)
  const { status, message } = outcomeOf(report, ending, complaints)
  const milliseconds = performance.now() - start
  if (status !== 'passed' || printed === '') return { status, message, milliseconds }
  const text = JSON.stringify(printed.slice(0, 60))
  return { status: 'failed' as const, message: `the library wrote on stdout: ${text}`, milliseconds }
}

/** The program's answer is a line of JSON, with one before or behind it that says what a crash was about. */
function outcomeOf(
  report: string,
  ending: string | null,
  complaints: string,
): Pick<AbiCheck, 'status' | 'message'> {
  const answers = report.split('\n').flatMap(parsed)
  const outcome = answers.find(({ status }) => status !== undefined)
  const note = answers.find((answer) => answer.note !== undefined)?.note
  const why = note === undefined ? '' : `: ${note}`
  if (outcome?.status !== undefined) {
    const { status, message = '' } = outcome
    if (status !== 'passed' || ending === null) return { status, message }
    return { status: 'failed', message: `the process ${ending} after the check had passed${why}` }
  }
  const said = complaints === '' ? '' : `; it said: ${complaints}`
  return { status: 'failed', message: `the process ${ending ?? 'ended'}${why}${said}` }
}

function parsed(line: string): Partial<Pick<AbiCheck, 'status' | 'message'> & { note: string }>[] {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}

interface Limits {
  readonly timeout: number
  readonly signal?: AbortSignal
}

interface Ran {
  readonly report: string
  /** How the process ended, null when it did with exit code 0. */
  readonly ending: string | null
  readonly printed: string
  readonly complaints: string
}

async function runProgram(args: readonly string[], { timeout, signal }: Limits): Promise<Ran> {
  signal?.throwIfAborted()
  const program = PROGRAM.find((path) => existsSync(path))
  if (program === undefined) throw notBuilt("polymla's ABI suite", PROGRAM[0])
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const kill = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', kill)
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    kill()
  }, timeout)
  const texts = [1, 2, 3].map((descriptor) => collect(child.stdio[descriptor], 'first'))
  const drained = drainAfterExit(child)
  const ending = await new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(`did not start: ${error.message}`))
    child.once('exit', (code, killer) =>
      resolve(killer ? `ended by ${killer}` : code ? `ended with exit code ${code}` : null),
    )
  })
  clearTimeout(timer)
  signal?.removeEventListener('abort', kill)
  await drained()
  signal?.throwIfAborted()
  const [printed, complaints, report] = texts.map((text) => text())
  return {
    report,
    printed,
    complaints: lastLine(complaints),
    ending: timedOut ? `did not end within ${timeout / 1000} s` : ending,
  }
}
