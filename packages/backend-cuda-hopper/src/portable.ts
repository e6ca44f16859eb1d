import {
  type Backend,
  type DeviceInfo,
  isPolymlaError,
  type UnavailableReason,
  unavailableReason,
} from '@polymla/core'

/** The portable kernels for NVIDIA GPUs, as `@polymla/backend-vendor` has them; null where that package is not installed. */
export async function portableKernels(): Promise<Backend | null> {
  try {
    // As core's own list of backends: literal for bundlers, and nothing that types depend on.
    const { portableCuda } = await import('@polymla/backend-vendor' as string)
    return portableCuda()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return null
    throw error
  }
}

/** GPUs whose architecture this package has no kernels for: `cuda:0` and an `sm_80` are, plain `cuda` is none. */
const isOther = ({ id, arch, available }: DeviceInfo) =>
  !available && /:\d+$/.test(id) && arch !== 'sm_90' && arch.startsWith('sm_')

/**
 * The Hopper backend, with the portable kernels under the same ids for GPUs that are no Hopper GPUs: both list all GPUs in the
 * order of `CUDA_VISIBLE_DEVICES`. Where the portable ones cannot be used either, the device says how they can.
 */
export function withPortable(hopper: Backend, load: () => Promise<Backend | null>): Backend {
  const owners = new Map<string, Backend>()
  return {
    ...hopper,
    async probe() {
      const infos = await hopper.probe()
      owners.clear()
      if (!infos.some(isOther)) return infos
      const { backend, found, reason } = await probed(load)
      return infos.map((info) => {
        if (!isOther(info)) return info
        const portable = found.find(({ id }) => id === info.id)
        if (backend && portable?.available) {
          owners.set(info.id, backend)
          return portable
        }
        const why = portable && !portable.available ? portable.reason : reason
        return why && !info.available ? { ...info, reason: why } : info
      })
    },
    open: (info) => (owners.get(info.id) ?? hopper).open(info),
  }
}

type Probed = {
  readonly backend: Backend | null
  readonly found: readonly DeviceInfo[]
  readonly reason: UnavailableReason | null
}

async function probed(load: () => Promise<Backend | null>): Promise<Probed> {
  try {
    const backend = await load()
    return { backend, found: (await backend?.probe()) ?? [], reason: null }
  } catch (error) {
    if (!isPolymlaError(error)) throw error
    return { backend: null, found: [], reason: unavailableReason(error, '') }
  }
}
