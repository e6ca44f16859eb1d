/** A problem that lies on a device, ready to be launched again and again on its default stream. */
export interface Work extends Cost {
  launch(): void
}

/** What one launch comes to. */
export interface Cost {
  /** Floating point operations, as FlashMLA counts them: 2 · rows · keys · (d_qk + d_v). */
  readonly flop: number
  /** Bytes that have to move: queries, keys and outputs, once each. */
  readonly bytes: number
}

/** Rates of a launch that took `us` microseconds. */
export function rates({ flop, bytes }: Cost, us: number): { tflops: number; gbps: number } {
  const significant = (rate: number) => Number(rate.toPrecision(5))
  return { tflops: significant(flop / us / 1e6), gbps: significant(bytes / us / 1e3) }
}
