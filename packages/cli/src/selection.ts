import { type Device, type DeviceInfo, isPolymlaError, type Runtime } from '@polymla/core'

/** A device and what `auto` makes of it. */
export type ListedDevice = DeviceInfo & { readonly auto: { readonly chosen: boolean; readonly why: string } }

/** Every device, with the one that `auto` takes marked, and for each the reason. */
export async function explainAuto(
  runtime: Runtime,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ListedDevice[]> {
  const infos = await runtime.listDevices()
  const { chosen, passedOver } = await tryAuto(runtime)
  const winner = infos.find(({ id }) => id === chosen)
  return infos.map((info) => {
    if (info === winner) return { ...info, auto: { chosen: true, why: whyChosen(env) } }
    const why = passedOver.get(info.id) ?? (info.available ? outranked(winner, env) : info.reason.message)
    return { ...info, auto: { chosen: false, why } }
  })
}

/** Why `auto` took the device it took. */
export function whyChosen(env: Readonly<Record<string, string | undefined>>): string {
  return replacement(env) === null
    ? 'the highest score among usable devices'
    : `POLYMLA_DEVICE=${env.POLYMLA_DEVICE} replaces auto`
}

function outranked(
  winner: DeviceInfo | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (!winner) return `POLYMLA_DEVICE=${env.POLYMLA_DEVICE} names another device`
  return replacement(env) === null ? `${winner.id} has the higher score` : whyChosen(env)
}

function replacement(env: Readonly<Record<string, string | undefined>>): string | null {
  const { POLYMLA_DEVICE: id } = env
  return id === undefined || id === '' || id === 'auto' ? null : id
}

async function tryAuto(
  runtime: Runtime,
): Promise<{ chosen: string | null; passedOver: Map<string, string> }> {
  let device: Device
  try {
    device = await runtime.selectDevice('auto')
  } catch (error) {
    if (!isPolymlaError(error)) throw error
    return { chosen: null, passedOver: new Map() }
  }
  const passedOver = new Map(device.selection.map(({ id, reason }) => [id, reason]))
  await device.dispose()
  return { chosen: device.id, passedOver }
}
