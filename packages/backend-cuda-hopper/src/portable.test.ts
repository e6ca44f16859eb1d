import { API_VERSION, type Backend, createRuntime, type DeviceInfo, PolymlaError } from '@polymla/core'
import { describe, expect, it, vi } from 'vitest'
import { withPortable } from './portable.js'

const usable = (id: string, arch: string, name: string): DeviceInfo => ({
  id,
  name,
  arch,
  score: 200,
  available: true,
})
const unusable = (id: string, arch: string, message: string): DeviceInfo => ({
  ...usable(id, arch, 'A GPU'),
  available: false,
  reason: { code: 'POLYMLA_DEVICE_UNAVAILABLE', message, fix: 'Use another' },
})

/** A backend of these devices, whose open() says whose it is. */
function backendOf(owner: string, infos: readonly DeviceInfo[]): Backend {
  return {
    name: 'cuda',
    apiVersion: API_VERSION,
    probe: async () => infos,
    open: ({ id }) => Promise.reject(new PolymlaError('POLYMLA_DEVICE_LOST', `${owner} opens ${id}`)),
  }
}

const ampere = unusable('cuda:0', 'sm_80', 'compute capability 8.0, and the kernels are for 9.0 (Hopper)')
const hopper = usable('cuda:1', 'sm_90', 'H200')

describe('cuda on GPUs that are no Hopper GPUs', () => {
  it('is the portable kernels, under the same id', async () => {
    const portable = backendOf('portable', [
      usable('cuda:0', 'sm_80', 'A100'),
      usable('cuda:1', 'sm_90', 'H200'),
    ])
    const runtime = createRuntime({
      backends: [withPortable(backendOf('hopper', [ampere, hopper]), async () => portable)],
      env: {},
    })
    expect(await runtime.listDevices()).toMatchObject([
      { id: 'cuda:0', name: 'A100', available: true },
      { id: 'cuda:1', name: 'H200', available: true },
    ])
    await expect(runtime.selectDevice('cuda:0')).rejects.toThrow('portable opens cuda:0')
    await expect(runtime.selectDevice('cuda:1')).rejects.toThrow('hopper opens cuda:1')
  })

  it('says why the portable kernels cannot be used either', async () => {
    const fix = 'Build them'
    const notBuilt = async () => {
      throw new PolymlaError('POLYMLA_BACKEND_NOT_FOUND', 'no library is installed', { fix })
    }
    const [device] = await withPortable(backendOf('hopper', [ampere]), notBuilt).probe()
    expect(device).toMatchObject({
      available: false,
      reason: { code: 'POLYMLA_BACKEND_NOT_FOUND', message: 'no library is installed', fix },
    })
    const none = unusable('cuda:0', 'sm_80', 'the compute mode is Prohibited')
    const [prohibited] = await withPortable(backendOf('hopper', [ampere]), async () =>
      backendOf('portable', [none]),
    ).probe()
    expect(prohibited).toMatchObject({ reason: { message: 'the compute mode is Prohibited' } })
  })

  it('keeps its own reason where there are no portable kernels', async () => {
    expect(await withPortable(backendOf('hopper', [ampere]), async () => null).probe()).toEqual([ampere])
  })

  it.each([
    ['a Hopper GPU', [hopper]],
    ['no driver', [unusable('cuda', 'unknown', 'there is no NVIDIA driver')]],
    ['a Hopper GPU that cannot be used', [unusable('cuda:0', 'sm_90', 'the compute mode is Prohibited')]],
  ])('loads nothing for %s', async (_, infos) => {
    const load = vi.fn(async () => null)
    expect(await withPortable(backendOf('hopper', infos), load).probe()).toEqual(infos)
    expect(load).not.toHaveBeenCalled()
  })
})
