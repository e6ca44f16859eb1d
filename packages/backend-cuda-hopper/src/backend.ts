import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Backend } from '@polymla/core'
import { nativeBackend } from '@polymla/native'
import { portableKernels, withPortable } from './portable.js'

/** From dist, which holds the library, or from src beside it. */
const CANDIDATES = ['./native/', '../dist/native/'].map((folder) =>
  fileURLToPath(
    new URL(`${folder}${process.platform}-${process.arch}/libpolymla_cuda_hopper.so`, import.meta.url),
  ),
)

/**
 * NVIDIA GPUs: devices `cuda:0`, `cuda:1`, … in the order of `CUDA_VISIBLE_DEVICES`. The kernels are for compute capability
 * 9.0 (H100, H200, H20, GH200); on other GPUs the portable ones of `@polymla/backend-vendor` take their place, where they are
 * built for them. What cannot be used is listed with its reason.
 */
export function cudaHopper(): Backend {
  const backend = nativeBackend({
    name: 'cuda',
    library: CANDIDATES.find((path) => existsSync(path)) ?? CANDIDATES[0],
    origin: 'package',
    // A single device is numbered, too: there may be more tomorrow.
    ids: 'numbered',
  })
  const all = withPortable(backend, portableKernels)
  return {
    ...all,
    async probe() {
      const [infos, driver] = await Promise.all([all.probe(), driverVersion()])
      return driver === null ? infos : infos.map((info) => ({ ...info, driver }))
    },
  }
}

/** Of the kernel's part of the driver, such as `580.159.04`; null where it does not say. */
async function driverVersion(): Promise<string | null> {
  const text = await readFile('/proc/driver/nvidia/version', 'utf8').catch(() => '')
  return /^NVRM version:.*?(\d+\.\d+(?:\.\d+)*)/m.exec(text)?.[1] ?? null
}
