/**
 * An element passes when it is off by less than `absolute`, or by less than `relative` of its size (|ref| + 1e-6); all
 * together when 1 − 2·x·y / (x² + y²) stays below `cosine`.
 */
export interface Tolerance {
  readonly absolute: number
  readonly relative: number
  readonly cosine?: number
}

export interface PathTolerance {
  readonly out: Tolerance
  /** For lse and for max logits. */
  readonly lse: Tolerance
}

/** Bounds per path. The first four are those of FlashMLA's own tests (9241ae3; dense fp8: the vLLM fork 46d64a8). */
export const TOLERANCES = {
  dense: {
    out: { absolute: 8e-4, relative: 2.01 / 128, cosine: 5e-6 },
    lse: { absolute: 1e-6, relative: 8.01 / 65536 },
  },
  denseFp8: {
    out: { absolute: 8e-3, relative: 2.01 / 128, cosine: 5e-4 },
    lse: { absolute: 1e-5, relative: 8.01 / 65536 },
  },
  sparseDecode: {
    out: { absolute: 1e-3, relative: 2.01 / 128, cosine: 5e-6 },
    lse: { absolute: 1e-6, relative: 8.01 / 65536 },
  },
  sparsePrefill: {
    out: { absolute: 8e-4, relative: 3.01 / 128, cosine: 7e-6 },
    lse: { absolute: 1e-6, relative: 2.01 / 65536 },
  },
} as const satisfies Record<string, PathTolerance>

/** One rounding to the output's dtype, after sums in single precision. */
const ROUNDING = {
  f32: { absolute: 1e-6, relative: 2 ** -18 },
  f16: { absolute: 1e-6, relative: 1.05 / 2048 },
  bf16: { absolute: 1e-6, relative: 1.05 / 256 },
} as const satisfies Record<string, Tolerance>

/** Bounds of `mergeStates`, by the dtype of its output. */
export function mergeTolerance(outDtype: keyof typeof ROUNDING): PathTolerance {
  return { out: ROUNDING[outDtype], lse: { absolute: 1e-6, relative: 2 ** -20 } }
}

/**
 * Bounds of what `appendKv` wrote, after dequantisation, where bits may differ: half a step of the stored format around
 * the exact result, and a little for arithmetic in single precision.
 */
export const STORED = {
  f32: { absolute: 1e-6, relative: 2 ** -20 },
  fp16: { absolute: 2 ** -20, relative: 1.05 / 2048 },
  bf16: { absolute: 2 ** -20, relative: 1.05 / 256 },
  /** `absolute` is half the step of its subnormal numbers, at a scale of 1. */
  e4m3: { absolute: 1.05 * 2 ** -10, relative: 1.05 / 16 },
} as const satisfies Record<string, Tolerance>

/** Bounds of golden files: relative 2-norms against float64 by the dtype of `out`, and each lse. */
export const FLOAT64 = {
  out: { f32: 1e-3, f16: 1e-3, bf16: 2.5e-3 },
  lse: { absolute: 1e-6, relative: 8e-5 },
} as const
