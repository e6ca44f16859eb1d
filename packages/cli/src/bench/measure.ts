import type { Device, DevicePeaks, Tensor } from '@polymla/core'
import { Scope } from '../scope.js'
import { denseWork } from './dense.js'
import { type Efficiency, efficiency } from './efficiency.js'
import { opWork } from './ops.js'
import type { BenchCase, Timing } from './rows.js'
import { sparseDecodeWork } from './sparse-decode.js'
import { sparsePrefillWork } from './sparse-prefill.js'
import { median, rounded } from './statistics.js'
import { rates, type Work } from './work.js'

export interface MeasureOptions {
  readonly warmup: number
  readonly runs: number
  readonly seed: number
  /** Filled before every run, so that no run finds its data in a cache; null leaves caches warm. */
  readonly flush: Tensor | null
  /** What the device can do at best; null where it cannot tell. */
  readonly peaks: DevicePeaks | null
  readonly signal: AbortSignal
}

/**
 * Times one case on the device's own clock, around the launch alone. Throws `POLYMLA_UNSUPPORTED` and
 * `POLYMLA_OUT_OF_MEMORY` where the device cannot do it.
 */
export async function measure(
  device: Device,
  row: BenchCase,
  options: MeasureOptions,
): Promise<Timing & Partial<Efficiency>> {
  using scope = new Scope()
  const work = prepare(device, row, options.seed, scope)
  const samples: number[] = []
  for (let run = 0; run < options.warmup + options.runs; run++) {
    const us = await timeOnce(device, work, options)
    if (run >= options.warmup) samples.push(us)
  }
  const us = median(samples)
  return {
    us: rounded(us),
    us_min: rounded(Math.min(...samples)),
    us_max: rounded(Math.max(...samples)),
    ...rates(work, us),
    ...efficiency(work, row.kind, options.peaks, us),
  }
}

function prepare(device: Device, row: BenchCase, seed: number, scope: Scope): Work {
  switch (row.kind) {
    case 'sparse_decode.fp8':
      return sparseDecodeWork(device, row, seed, scope)
    case 'sparse_prefill.bf16':
      return sparsePrefillWork(device, row, seed, scope)
    case 'append_kv.bf16':
    case 'append_kv.fp8':
    case 'copy_pages.bf16':
    case 'merge_states.bf16':
      return opWork(device, row, seed, scope)
    default:
      return denseWork(device, row, seed, scope)
  }
}

async function timeOnce(device: Device, work: Work, { flush, signal }: MeasureOptions): Promise<number> {
  flush?.fillBytes(0)
  using start = device.defaultStream.record()
  work.launch()
  using end = device.defaultStream.record()
  await end.done({ signal })
  return end.elapsedSince(start)
}
