import {
  type Device,
  type DeviceInfo,
  isPolymlaError,
  PolymlaError,
  type Problem,
  type Runtime,
} from '@polymla/core'

/** A device and what `auto` makes of it. */
export type ListedDevice = DeviceInfo & { readonly auto: { readonly chosen: boolean; readonly why: string } }

/** Opens the device that `--device` names. One that does not exist is a usage error; that none is usable is not. */
export async function openDevice(
  runtime: Runtime,
  id: string,
  env: Readonly<Record<string, string | undefined>>,
  required?: Problem,
): Promise<Device> {
  try {
    return await runtime.selectDevice(id, required ? { require: required } : {})
  } catch (error) {
    const named = id !== 'auto' || replacement(env) !== null
    if (!named || !isPolymlaError(error, 'POLYMLA_DEVICE_NOT_FOUND')) throw error
    throw new PolymlaError(error.code, error.message, {
      path: id === 'auto' ? 'POLYMLA_DEVICE' : '--device',
      cause: error,
    })
  }
}

/** Every device, with the one that `auto` takes marked, and for each the reason. */
export async function explainAuto(
  runtime: Runtime,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ListedDevice[]> {
  const infos = await runtime.listDevices()
  const { chosen, passedOver, failure } = await tryAuto(runtime)
  const winner = infos.find(({ id }) => id === chosen)
  return infos.map((info) => {
    if (info === winner) return { ...info, auto: { chosen: true, why: whyChosen(env) } }
    const passed = passedOver.get(info.id) ?? failure ?? outranked(chosen, env)
    return { ...info, auto: { chosen: false, why: info.available ? passed : info.reason.message } }
  })
}

/** Why `auto` took the device it took. */
export function whyChosen(env: Readonly<Record<string, string | undefined>>): string {
  return replacement(env) === null
    ? 'the highest score among usable devices'
    : `POLYMLA_DEVICE=${env.POLYMLA_DEVICE} replaces auto`
}

function outranked(winner: string | null, env: Readonly<Record<string, string | undefined>>): string {
  return replacement(env) === null ? `${winner} comes first` : whyChosen(env)
}

function replacement(env: Readonly<Record<string, string | undefined>>): string | null {
  const { POLYMLA_DEVICE: id } = env
  return id === undefined || id === '' || id === 'auto' ? null : id
}

interface AutoOutcome {
  /** Id of the device; null when there is none. */
  readonly chosen: string | null
  /** Reasons by device id. */
  readonly passedOver: ReadonlyMap<string, string>
  /** Why nothing was chosen; null when something was. */
  readonly failure: string | null
}

async function tryAuto(runtime: Runtime): Promise<AutoOutcome> {
  let device: Device
  try {
    device = await runtime.selectDevice('auto')
  } catch (error) {
    if (!isPolymlaError(error)) throw error
    return { chosen: null, passedOver: new Map(), failure: error.message }
  }
  const passedOver = new Map(device.selection.map(({ id, reason }) => [id, reason]))
  await device.dispose()
  return { chosen: device.id, passedOver, failure: null }
}
