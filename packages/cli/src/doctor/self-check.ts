import { runConformance } from '@polymla/conformance'
import type { Device, Runtime } from '@polymla/core'

/** What a device made of a few cases with known results. */
export interface SelfCheck {
  /** Every case passed, and nothing was left allocated. */
  readonly passed: boolean
  readonly cases: number
  /** The first thing that was wrong; null when passed. */
  readonly message: string | null
  readonly milliseconds: number
}

export interface SelfCheckOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (name: string, done: number, total: number) => void
}

/** Every op, but not the behaviour of streams, errors and the like. */
const CASES = /^(?!behaviour\/)/

/**
 * Opens the device, runs the smoke cases against float64, and looks for what they left behind. Rejects only when the
 * signal fires.
 */
export async function selfCheck(runtime: Runtime, id: string, options: SelfCheckOptions): Promise<SelfCheck> {
  const start = performance.now()
  const found = await outcome(runtime, id, options).catch((error: unknown) => {
    options.signal.throwIfAborted()
    return { cases: 0, message: error instanceof Error ? error.message : String(error) }
  })
  return { passed: found.message === null, ...found, milliseconds: performance.now() - start }
}

async function outcome(runtime: Runtime, id: string, { signal, onProgress }: SelfCheckOptions) {
  await using device = await runtime.selectDevice(id)
  const report = await runConformance({
    backend: device,
    grid: 'smoke',
    filter: CASES,
    signal,
    onProgress: ({ name }, done, total) => onProgress?.(name, done, total),
  })
  const failed = report.cases.find(({ status }) => status === 'failed')
  const cases = report.passed + report.failed
  if (failed) return { cases, message: `${failed.name}: ${failed.message}` }
  return { cases, message: cases === 0 ? 'the device refused every case' : leftOver(device) }
}

function leftOver(device: Device): string | null {
  const { liveBytes, handles } = device.memory()
  const open = Object.entries(handles).filter(([, count]) => count > 0)
  if (liveBytes === 0 && open.length === 0) return null
  return `after the check ${[`${liveBytes} bytes`, ...open.map(([kind, count]) => `${count} ${kind}s`)].join(', ')} were left`
}
