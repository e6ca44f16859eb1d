import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Backend, createRuntime, type Device } from '@polymla/core'
import { nativeBackend } from '@polymla/native'
import { cudaHopper } from '../backend.js'

/** The id of the first usable GPU; null where there is none. */
export const gpu = await cudaHopper()
  .probe()
  .then((devices) => devices.find(({ available }) => available)?.id ?? null)
  .catch(() => null)

/** Why the tests of this folder are skipped, as part of their name; empty when they run. */
export const skipped = gpu === null ? ' (skipped without a Hopper GPU)' : ''

/** Opens the GPU. */
export const openGpu = (): Promise<Device> =>
  createRuntime({ backends: [cudaHopper()], env: {} }).selectDevice(gpu ?? 'cuda:0')

// `pnpm test:gpu` builds it; a bundle has it beside itself.
const ORACLES = ['../../build/libpolymla_cuda_oracle.so', './libpolymla_cuda_oracle.so']

/** Dense decode in double precision on the same GPU: test/oracle. */
function oracleBackend(): Backend {
  const paths = ORACLES.map((path) => fileURLToPath(new URL(path, import.meta.url)))
  return nativeBackend({ name: 'oracle', library: paths.find((path) => existsSync(path)) ?? paths[0] })
}

/** Opens the oracle on the same GPU. */
export const openOracle = (): Promise<Device> =>
  createRuntime({ backends: [oracleBackend()], env: {} }).selectDevice('oracle')
