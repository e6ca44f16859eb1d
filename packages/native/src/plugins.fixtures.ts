import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BackendDevice, type BackendEvent, isPolymlaError } from '@polymla/core'
import { expect } from 'vitest'
import { buildTestPlugins } from '../test-plugins/build.mjs'
import { PLATFORM } from './addon.js'
import { type NativeBackendOptions, nativeBackend } from './backend.js'

const addonPath = fileURLToPath(new URL(`../dist/native/${PLATFORM}/polymla.node`, import.meta.url))
const built = buildTestPlugins()

/** Why tests with the addon cannot run here; null when they can. */
export const notRunnable: string | null =
  'reason' in built ? built.reason : existsSync(addonPath) ? null : 'the addon is not built'

/** The name of a suite, with the reason where it is skipped: for `describe.skipIf(notRunnable)(suite(name), …)`. */
export const suite = (name: string): string => (notRunnable ? `${name} (${notRunnable})` : name)

type Options = Readonly<Record<string, string>>

/** The path of a test plugin. */
export const pluginPath = (plugin: string): string =>
  join('folder' in built ? built.folder : '', `${plugin}.so`)

/** A backend over a test plugin, by the plugin's name. */
export function pluginBackend(
  plugin: string,
  options: Options = {},
  more: Partial<NativeBackendOptions> = {},
) {
  return nativeBackend({ name: plugin, library: pluginPath(plugin), origin: 'package', options, ...more })
}

/** Opens the first device of a test plugin. */
export async function openPlugin(plugin: string, options: Options = {}): Promise<BackendDevice> {
  const backend = pluginBackend(plugin, options)
  const [info] = await backend.probe()
  return backend.open(info)
}

/** What a plugin counts: its live handles, or its misuses. */
export async function pluginCount(plugin: string, report: 'handles' | 'misuses' | 'bytes'): Promise<number> {
  const device = await openPlugin(plugin, { report })
  const { totalBytes, freeBytes } = device.memory!()
  await device.dispose()
  return totalBytes - freeBytes - (report === 'handles' ? 1 : 0)
}

/** Resolves when a count is what it should be; a test's time limit ends a wait in vain. */
export async function countBecomes(
  plugin: string,
  report: 'handles' | 'bytes',
  value: number,
): Promise<void> {
  while ((await pluginCount(plugin, report)) !== value) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Waits for an event by asking, as programs do that do not await. */
export async function polled(event: BackendEvent): Promise<void> {
  while (!event.query()) await new Promise((resolve) => setTimeout(resolve))
}

/** A matcher for errors of the library: code, text of the message, and what else is given. */
export function failure(code: string, message: RegExp | string = '', more: object = {}) {
  return expect.toSatisfy((error: unknown) => {
    if (!isPolymlaError(error, code as never)) return false
    const text = typeof message === 'string' ? error.message.includes(message) : message.test(error.message)
    return text && Object.entries(more).every(([key, value]) => error[key as keyof typeof error] === value)
  }, `a ${code} that says ${message}`)
}
