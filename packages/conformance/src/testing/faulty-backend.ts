import type {
  Backend,
  BackendBuffer,
  BackendDevice,
  BackendPlan,
  BackendStream,
  DeviceInfo,
  LaunchArgs,
  Problem,
  ScheduleArgs,
  TensorRef,
} from '@polymla/core'
import { DeviceMemory } from './device-memory.js'
import { FAULTS, type FaultName } from './faults/all.js'
import type { Args, Fault } from './faults/fault.js'
import { SerialStream } from './serial-stream.js'

/**
 * A backend with one bug, over a backend without: it shows what the suite catches. Without a fault it behaves as the
 * inner one does, only slower.
 */
export function faultyBackend(inner: Backend, name: FaultName | null): Backend {
  const fault: Fault = name === null ? { caughtBy: '' } : FAULTS[name]
  return {
    name: inner.name,
    apiVersion: inner.apiVersion,
    probe: () => inner.probe(),
    open: async (info: DeviceInfo) => new FaultyDevice(await inner.open(info), fault),
  }
}

class FaultyDevice implements BackendDevice {
  readonly #inner: BackendDevice
  readonly #fault: Fault
  readonly #streams: SerialStream[] = []
  readonly #eager: BackendStream | undefined

  constructor(inner: BackendDevice, fault: Fault) {
    this.#inner = inner
    this.#fault = fault
    this.#eager = fault.eagerUploads ? inner.createStream() : undefined
  }

  alloc(bytes: number): BackendBuffer {
    return this.#inner.alloc(bytes)
  }

  free(buffer: BackendBuffer): void {
    this.#afterwards(() => this.#inner.free(buffer))
  }

  createStream(): BackendStream {
    const { ignoreWaits } = this.#fault
    const stream = new SerialStream(this.#inner.createStream(), { eager: this.#eager, ignoreWaits })
    this.#streams.push(stream)
    return stream
  }

  supports(problem: Problem): true | string {
    const answer = this.#inner.supports(problem)
    return (this.#fault.supports ? this.#fault.supports(problem) : answer) as true | string
  }

  prepare<P extends Problem>(problem: P): BackendPlan<P> {
    const fault = this.#fault
    fault.prepare?.(problem)
    const plan = this.#inner.prepare((fault.problem?.(problem) ?? problem) as P)
    const { costModel, workspaceBytes } = plan
    let launches = 0
    return {
      workspaceBytes,
      ...(costModel ? { costModel } : {}),
      ...(plan.schedule
        ? {
            schedule: (stream: BackendStream, args: ScheduleArgs) => {
              const kept = { ...args, ...refs(args) }
              ;(stream as SerialStream).launch(async (on) => {
                plan.schedule?.(on.inner, kept)
                await fault.afterSchedule?.(kept, new DeviceMemory(this.#inner, on.inner))
              })
            },
          }
        : {}),
      launch: (stream: BackendStream, args: LaunchArgs[P['op']]) => {
        fault.onEnqueue?.()
        const kept = { ...args, ...refs(args) } as unknown as Args
        const state = {}
        ;(stream as SerialStream).launch(async (on) => {
          const memory = new DeviceMemory(this.#inner, on.inner)
          const changes = await fault.before?.(problem, kept, memory, state)
          plan.launch(on.inner, { ...kept, ...changes } as unknown as LaunchArgs[P['op']])
          await fault.after?.(problem, kept, memory, launches++)
          memory.release()
        })
      },
      dispose: () => this.#afterwards(() => plan.dispose()),
    }
  }

  async dispose(): Promise<void> {
    await this.#drained()
    await this.#inner.dispose()
  }

  #afterwards(release: () => void): void {
    void this.#drained().then(release)
  }

  async #drained(): Promise<void> {
    await Promise.allSettled(this.#streams.map(({ queue }) => queue))
  }
}

/** The tensors among launch arguments, as they are now: the caller reuses its arguments and may dispose its tensors. */
function refs(args: object): Record<string, TensorRef> {
  const found: Record<string, TensorRef> = {}
  for (const [name, value] of Object.entries(args)) {
    if (value === null || typeof value !== 'object') continue
    const { dtype, shape, strides, buffer, byteOffset } = value as TensorRef
    found[name] = { dtype, shape, strides, buffer, byteOffset }
  }
  return found
}
