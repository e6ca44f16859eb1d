import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { PolymlaError } from '@polymla/core'
import { nativeError } from './errors.js'

declare const kind: unique symbol
/** A native object. It is given back when it is disposed, or at the latest when the value is collected. */
interface Native<K extends string> {
  readonly [kind]: K
}
export type NativeDeviceHandle = Native<'device'>
export type NativeBufferHandle = Native<'buffer'>
export type NativeStreamHandle = Native<'stream'>
export type NativeEventHandle = Native<'event'>
export type NativeGraphHandle = Native<'graph'>
export type NativePlanHandle = Native<'plan'>

/** A pmla_device_info. */
export interface NativeDeviceInfo {
  readonly status: number
  readonly score: number
  readonly memoryBytes: number
  readonly name: string
  readonly arch: string
  readonly reason: string
  readonly fix: string
}

/** An open device and what its library has of the optional members. */
export interface OpenedDevice {
  readonly handle: NativeDeviceHandle
  readonly adoptsStreams: boolean
  readonly adoptsMemory: boolean
  readonly reportsMemory: boolean
  readonly measuresPeaks: boolean
  readonly captures: boolean
  readonly chooses: boolean
}

type NativeLog = (level: number, message: string) => void

/**
 * The addon's functions. All throw and reject with {@link PolymlaError}s. Addresses and sizes are exact below 2^53.
 * `block` carries what would otherwise be many arguments or an object: a call reads it before it returns, or has
 * filled it when it returns.
 */
export interface Addon {
  readonly block: Float64Array
  setErrorMaker(make: typeof nativeError): void

  probe(path: string, log?: NativeLog): Promise<readonly NativeDeviceInfo[]>
  open(path: string, index: number, id: string, options: string[], log?: NativeLog): Promise<OpenedDevice>
  /** Rates per second: bytes read, fp32 flops, bf16 flops, fp16 flops. */
  measurePeaks(device: NativeDeviceHandle): Promise<readonly [number, number, number, number]>
  /** Disposes everything of the device and resolves when all work is done and the device is closed. */
  close(device: NativeDeviceHandle): Promise<void>
  /** Leaves the address in the block. */
  alloc(device: NativeDeviceHandle, bytes: number): NativeBufferHandle
  /** Leaves total and free bytes in the block. */
  memoryInfo(device: NativeDeviceHandle): void
  /** Gives any handle but a device back once no work uses it. Idempotent. */
  dispose(handle: Native<string>): void

  /** `native` 0n: a stream of its own. */
  createStream(device: NativeDeviceHandle, native: bigint): NativeStreamHandle
  upload(stream: NativeStreamHandle, target: number, source: Uint8Array): void
  /** Keeps the target until it is written. */
  download(stream: NativeStreamHandle, source: number, target: Uint8Array): void
  fill(stream: NativeStreamHandle, target: number, bytes: number, value: number): void
  copy(stream: NativeStreamHandle, source: number, target: number, bytes: number): void
  record(stream: NativeStreamHandle): NativeEventHandle
  wait(stream: NativeStreamHandle, event: NativeEventHandle): void
  beginCapture(stream: NativeStreamHandle): void
  endCapture(stream: NativeStreamHandle): NativeGraphHandle
  launchGraph(graph: NativeGraphHandle, stream: NativeStreamHandle): void
  query(event: NativeEventHandle): boolean
  done(event: NativeEventHandle): Promise<void>
  /** Microseconds. */
  elapsed(later: NativeEventHandle, earlier: NativeEventHandle): number

  /** Why the device cannot do the problem in the block; null when it can. */
  supports(device: NativeDeviceHandle): string | null
  /** Makes a plan of the problem in the block; leaves workspace bytes, partitions, overhead and schedules (0, 1). */
  prepare(device: NativeDeviceHandle): NativePlanHandle
  /** Takes batch, total and longest pages; leaves partitions and overhead. */
  choose(plan: NativePlanHandle): void
  /** Take the arguments of launch-args.ts. */
  schedule(plan: NativePlanHandle, stream: NativeStreamHandle): void
  launch(plan: NativePlanHandle, stream: NativeStreamHandle): void
}

/** Where builds put what they compiled, beside the JavaScript of their package. */
export const PLATFORM = `${process.platform}-${process.arch}`

/** The error for compiled code that is not there. */
export function notBuilt(what: string, path: string): PolymlaError {
  return new PolymlaError('POLYMLA_BACKEND_LOAD_FAILED', `${what} is not built for ${PLATFORM}: ${path}`, {
    fix: 'Install g++ 12 or newer and cmake 3.22 or newer, then run npx -y pnpm@10 build',
  })
}

/** From dist, which holds the addon, or from src beside it. */
const CANDIDATES = ['./native/', '../dist/native/'].map((folder) =>
  fileURLToPath(new URL(`${folder}${PLATFORM}/polymla.node`, import.meta.url)),
)

let loaded: Addon | undefined

/** Where the addon is. Throws `POLYMLA_BACKEND_LOAD_FAILED` where it is not built. */
export function addonPath(): string {
  const path = CANDIDATES.find((candidate) => existsSync(candidate))
  if (path === undefined) throw notBuilt("polymla's Node-API addon", CANDIDATES[0])
  return path
}

/** The addon, loaded once per thread. Throws as {@link addonPath} does. */
export function addon(): Addon {
  if (loaded) return loaded
  const path = addonPath()
  try {
    const made = createRequire(import.meta.url)(path) as Addon
    made.setErrorMaker(nativeError)
    loaded = made
    return made
  } catch (cause) {
    throw new PolymlaError(
      'POLYMLA_BACKEND_LOAD_FAILED',
      `${path} could not be loaded: ${messageOf(cause)}`,
      {
        fix: 'Build it again: npx -y pnpm@10 build',
        cause,
      },
    )
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
