import type { DevicePeaks } from '@polymla/core'
import type { BenchCase } from './rows.js'
import type { Cost } from './work.js'

/** How near a launch came to what the device can do at best. */
export interface Efficiency {
  /** Which of the two would take longer at its peak: the arithmetic, or reading each byte once. */
  readonly bound: 'compute' | 'memory'
  /** The time of that one at its peak, as a fraction of the time taken. */
  readonly of_peak: number
}

/** Null where the device did not measure the peaks it takes. */
export function efficiency(
  { flop, bytes }: Cost,
  kind: BenchCase['kind'],
  peaks: DevicePeaks | null,
  us: number,
): Efficiency | null {
  if (!peaks) return null
  const flops = flopsPeak(kind, peaks)
  if (!(flops > 0) || !(peaks.readBytesPerSecond > 0)) return null
  const compute = (flop / flops) * 1e6
  const memory = (bytes / peaks.readBytesPerSecond) * 1e6
  return {
    bound: compute >= memory ? 'compute' : 'memory',
    of_peak: Number((Math.max(compute, memory) / us).toPrecision(4)),
  }
}

/** fp8 is multiplied as bf16. */
function flopsPeak(kind: BenchCase['kind'], peaks: DevicePeaks): number {
  switch (kind) {
    case 'dense.f32':
      return peaks.f32FlopsPerSecond
    case 'dense.fp16':
      return peaks.f16FlopsPerSecond
    default:
      return peaks.bf16FlopsPerSecond
  }
}
