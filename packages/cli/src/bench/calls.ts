import { Random } from '@polymla/conformance'
import type { DecodeRun, Device } from '@polymla/core'
import { Scope } from '../scope.js'
import { fillCache } from './data.js'
import { denseWork } from './dense.js'
import { median, rounded } from './statistics.js'

/** What a call costs the host, from JavaScript: enqueued without waiting. */
interface HostRow {
  readonly kind: 'host.plan_run' | 'host.plan_update' | 'host.graph_replay'
  readonly us: number
  readonly us_min: number
  readonly us_max: number
}

/** A decode step of many layers as one graph, each layer with a cache of its own: device time. */
interface StepRow {
  readonly kind: 'step.graph'
  readonly b: number
  readonly s_k: number
  readonly h_q: number
  readonly layers: number
  readonly us: number
  readonly us_min: number
  readonly us_max: number
}

export type CallRow = HostRow | StepRow

/** How much is measured. */
interface CallLimits {
  readonly rounds: number
  /** Rounds of host calls before those, for the compiler of JavaScript: a decode loop is soon past them. */
  readonly warmUp: number
  /** Between two waits: fewer than a GPU's queue holds, so that none of them waits for the device. */
  readonly calls: number
  readonly layers: number
  /** Batch, tokens and heads. */
  readonly steps: readonly (readonly [b: number, s_k: number, h_q: number])[]
}

const USUAL: CallLimits = {
  rounds: 50,
  warmUp: 100, // 20,000 calls: 330 steps of 61 layers
  calls: 200,
  layers: 61, // DeepSeek-V3's
  steps: [
    [1, 4096, 16],
    [1, 4096, 128],
    [16, 4096, 16],
    [16, 4096, 128],
  ],
}

/** Times the host's side of the calls that a decode loop makes, and steps of many layers on the device. */
export async function measureCalls(device: Device, signal: AbortSignal, limits = USUAL): Promise<CallRow[]> {
  const rows: CallRow[] = await hostRows(device, signal, limits)
  for (const step of limits.steps) rows.push(await stepRow(device, step, signal, limits))
  return rows
}

const denseCase = (b: number, s_k: number, h_q: number) =>
  ({ kind: 'dense.bf16', b, s_q: 1, s_k, h_q, varlen: false, causal: false }) as const

async function hostRows(
  device: Device,
  signal: AbortSignal,
  { rounds, warmUp, calls }: CallLimits,
): Promise<HostRow[]> {
  using scope = new Scope()
  const { launch, update } = denseWork(device, denseCase(1, 64, 16), 0, scope)
  const graph = scope.hold(device.capture(launch))
  const timed = async (kind: HostRow['kind'], call: () => void): Promise<HostRow> => {
    const samples: number[] = []
    for (let round = -warmUp; round < rounds; round++) {
      const start = process.hrtime.bigint()
      for (let i = 0; i < calls; i++) call()
      const us = Number(process.hrtime.bigint() - start) / 1e3 / calls
      await device.synchronize({ signal })
      if (round >= 0) samples.push(us)
    }
    return { kind, ...summary(samples) }
  }
  return [
    await timed('host.plan_run', launch),
    await timed('host.plan_update', update),
    await timed('host.graph_replay', () => graph.replay()),
  ]
}

async function stepRow(
  device: Device,
  [b, s_k, h_q]: CallLimits['steps'][number],
  signal: AbortSignal,
  { rounds, layers: count }: CallLimits,
): Promise<StepRow> {
  using scope = new Scope()
  const { plan, run } = denseWork(device, denseCase(b, s_k, h_q), 0, scope)
  const random = new Random(1)
  const layers: DecodeRun[] = Array.from({ length: count }, (_, layer) => {
    if (layer === 0) return run
    const cache = scope.hold(device.createKvStorage(run.cache.layout))
    fillCache(cache, random)
    return { ...run, cache }
  })
  const graph = scope.hold(
    device.capture(() => {
      for (const layer of layers) plan.run(layer)
    }),
  )
  const samples: number[] = []
  for (let round = -3; round < rounds; round++) {
    using start = device.defaultStream.record()
    graph.replay()
    using end = device.defaultStream.record()
    await end.done({ signal })
    if (round >= 0) samples.push(end.elapsedSince(start))
  }
  return { kind: 'step.graph', b, s_k, h_q, layers: count, ...summary(samples) }
}

function summary(samples: readonly number[]) {
  return {
    us: rounded(median(samples)),
    us_min: rounded(Math.min(...samples)),
    us_max: rounded(Math.max(...samples)),
  }
}
