import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { PolymlaError } from '@polymla/core'
import { addonPath, type NativeDeviceInfo } from '../addon.js'
import { collect, drainAfterExit, lastLine } from '../child-output.js'
import { nativeError } from '../errors.js'

/** A failure as the addon knows it; see {@link nativeError}. */
interface Failure {
  readonly status: number
  readonly nativeCode: number
  readonly message: string
  readonly fix: string
}

/** What probe-child.mjs reports, a line each. */
type Step =
  | { readonly step: 'load' | 'end' }
  | { readonly step: 'listed'; readonly infos: readonly NativeDeviceInfo[] }
  | { readonly step: 'open'; readonly index: number }
  | { readonly step: 'refused'; readonly index: number; readonly failure: Failure }
  | { readonly step: 'failed'; readonly failure: Failure }

export interface ApartOptions {
  /** Milliseconds until the process is ended. */
  readonly timeout: number
  /** Keys and values, as the addon's `open` takes them. */
  readonly settings: readonly string[]
}

/** How long an answer serves: a listing, and the selection that follows it, ask once. */
const FRESH_MS = 10_000

const CHILD = ['./probe-child.js', './probe-child.mjs']
  .map((file) => fileURLToPath(new URL(file, import.meta.url)))
  .find((path) => existsSync(path))

const answers = new Map<string, Promise<readonly NativeDeviceInfo[]>>()

/**
 * What a library says of its devices, found out in a process of its own in which it is loaded and every usable device
 * opened once. A library that crashes, ends the process or does not come back is an error that says so; one that does it
 * for a device makes that device unusable. Nothing of the library runs in this process.
 *
 * Equal questions about an unchanged file share an answer for some seconds.
 *
 * @param path a library that has been checked.
 * @throws what the addon's `probe` rejects with, and `POLYMLA_BACKEND_LOAD_FAILED` for a process that did not end well.
 */
export async function probeApart(path: string, options: ApartOptions): Promise<readonly NativeDeviceInfo[]> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true })
  const key = JSON.stringify([path, `${dev} ${ino} ${size} ${mtimeNs}`, options])
  let answer = answers.get(key)
  if (!answer) {
    answer = ask(path, options)
    answers.set(key, answer)
    const forget = () => setTimeout(() => answers.delete(key), FRESH_MS).unref()
    answer.then(forget, forget)
  }
  return answer
}

async function ask(path: string, options: ApartOptions): Promise<readonly NativeDeviceInfo[]> {
  const { steps, ending, complaints } = await runChild(path, options)
  const infos = steps.find((step) => step.step === 'listed')?.infos
  const last = steps.at(-1)
  if (last?.step === 'failed') {
    const { status, nativeCode, message, fix } = last.failure
    throw nativeError(status, nativeCode, message, fix, '')
  }
  const unfinished = last?.step === 'end' ? undefined : ending
  if (!infos || (unfinished && last?.step !== 'open')) {
    throw new PolymlaError(
      'POLYMLA_BACKEND_LOAD_FAILED',
      `${path}: ${unfinished} ${doing(last)}${complaints}`,
      {
        path,
        fix: FIX,
      },
    )
  }
  return infos.map((info, index) =>
    afterOpening(info, index, steps, unfinished && `${path}: ${unfinished} ${doing(last)}`),
  )
}

const FIX = 'Update the backend and the driver; polymla conformance --library tells more'

/** A device's info, unusable where opening it failed, or was not even tried because an earlier one ended the process. */
function afterOpening(
  info: NativeDeviceInfo,
  index: number,
  steps: readonly Step[],
  unfinished: string | undefined,
): NativeDeviceInfo {
  if (info.status !== 0) return info
  const refused = steps.find((step) => step.step === 'refused' && step.index === index)
  if (refused?.step === 'refused') {
    const { status, message, fix } = refused.failure
    return { ...info, status, reason: message, fix }
  }
  const last = steps.at(-1)
  if (!unfinished || last?.step !== 'open' || index < last.index) return info
  return { ...info, status: DEVICE_UNAVAILABLE, reason: unfinished, fix: FIX }
}

const DEVICE_UNAVAILABLE = 7

function doing(last: Step | undefined): string {
  switch (last?.step) {
    case 'load':
      return 'when it was loaded and asked for its devices'
    case 'open':
      return `when device ${last.index} was opened`
    default:
      return 'before it was loaded'
  }
}

interface Outcome {
  readonly steps: readonly Step[]
  /** How the process ended, as the predicate of a sentence. */
  readonly ending: string
  /** The last line on stderr, as a clause; empty where there is none. */
  readonly complaints: string
}

async function runChild(path: string, { timeout, settings }: ApartOptions): Promise<Outcome> {
  if (CHILD === undefined) throw new PolymlaError('POLYMLA_INTERNAL', 'probe-child.mjs is not there')
  const child = spawn(process.execPath, [CHILD, addonPath(), path, JSON.stringify(settings)], {
    // Electron's executable is Node when it is told so.
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1', NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, timeout)
  const report = collect(child.stdio[3], 'first')
  const complained = collect(child.stderr, 'last')
  const drained = drainAfterExit(child)
  const ended = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be probed (${error.message})`))
    child.once('exit', (code, signal) =>
      resolve(signal ? `ended its process by ${signal}` : `ended its process with exit code ${code}`),
    )
  })
  clearTimeout(timer)
  await drained()
  const ending = timedOut ? `did not come back within ${timeout / 1000} s` : ended
  const said = lastLine(complained())
  return { steps: stepsOf(report()), ending, complaints: said ? `; it said: ${said}` : '' }
}

/** The steps up to the first line that is none: the library shares the descriptor. */
function stepsOf(text: string): Step[] {
  const steps: Step[] = []
  for (const line of text.split('\n')) {
    try {
      const step = JSON.parse(line) as Step
      if (typeof step?.step !== 'string') break
      steps.push(step)
    } catch {
      break
    }
  }
  return steps
}
