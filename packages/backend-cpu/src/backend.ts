import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Backend } from '@polymla/core'
import { nativeBackend } from '@polymla/native'

/** How the device is opened. Each falls back on an environment variable, then on its default. */
export interface CpuOptions {
  /** Threads that compute, 1 to 1024. `POLYMLA_CPU_THREADS`; default: as many processors as the process may use. */
  readonly threads?: number
  /** Keeps every thread on a processor of its own. `POLYMLA_CPU_PIN`, 0 or 1; default: the system moves them. */
  readonly pin?: boolean
  /**
   * Instruction set: `amx-bf16`, `avx512-bf16`, `avx512`, `avx2`, `neon` or `scalar`. `POLYMLA_CPU_ISA`; default: the
   * best that the processor has.
   */
  readonly isa?: string
}

/** From dist, which holds the library, or from src beside it. */
const CANDIDATES = ['./native/', '../dist/native/'].map((folder) =>
  fileURLToPath(new URL(`${folder}${process.platform}-${process.arch}/libpolymla_cpu.so`, import.meta.url)),
)

/**
 * Every op in C++ on all cores, with the best instruction set that the processor has; its device is `cpu`. Results do
 * not depend on the number of threads.
 *
 * Opening the device throws `POLYMLA_INVALID_ARGUMENT` for options that it does not know and `POLYMLA_UNSUPPORTED` for
 * an instruction set that the processor lacks. Where the library is not built, the device is listed as unusable.
 */
export function cpu(options: CpuOptions = {}): Backend {
  const settings = settingsOf(options, process.env)
  const backend = nativeBackend({
    name: 'cpu',
    library: CANDIDATES.find((path) => existsSync(path)) ?? CANDIDATES[0],
    origin: 'package',
    options: settings,
  })
  const { isa: arch } = settings
  if (arch === undefined) return backend
  return { ...backend, probe: async () => (await backend.probe()).map((info) => ({ ...info, arch })) }
}

/** As the library takes them, which refuses what it does not know. */
function settingsOf(options: CpuOptions, env: NodeJS.ProcessEnv): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const name of ['threads', 'pin', 'isa']) {
    const value = env[`POLYMLA_CPU_${name.toUpperCase()}`]
    if (value) settings[name] = value
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined)
      settings[name] = typeof value === 'boolean' ? String(Number(value)) : String(value)
  }
  return settings
}
