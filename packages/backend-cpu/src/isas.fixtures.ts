import { isPolymlaError } from '@polymla/core'
import { cpu } from './backend.js'

/** As the library knows them, best first. */
const ISAS = ['amx-bf16', 'avx512-bf16', 'avx512', 'avx2', 'neon', 'scalar']

/** Instruction sets that this machine has, best first; none where the library is not built. */
export async function usableIsas(): Promise<string[]> {
  const usable = await Promise.all(ISAS.map(opens))
  return ISAS.filter((_, i) => usable[i])
}

async function opens(isa: string): Promise<boolean> {
  try {
    const backend = cpu({ threads: 1, isa })
    const [info] = await backend.probe()
    await (await backend.open(info)).dispose()
    return true
  } catch (error) {
    // The processor lacks it, this build lacks it, or there is no build.
    const codes = ['POLYMLA_UNSUPPORTED', 'POLYMLA_INVALID_ARGUMENT', 'POLYMLA_BACKEND_LOAD_FAILED'] as const
    if (codes.some((code) => isPolymlaError(error, code))) return false
    throw error
  }
}
