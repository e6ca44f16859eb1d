import type { Row } from './format-groups.js'
import { largestMagnitude, readBf16, readE4m3, scaleExponent, writeBf16, writeE4m3 } from './format-groups.js'

/*
 * A page of `fp8-584`: for each token 448 e4m3 and 64 bf16 of rope, then for each token 7 e8m0 scales (one per 64
 * e4m3) and a byte that means nothing (FlashMLA 9241ae3, "MODEL1").
 */
const LATENT = 448
const GROUP = 64
const ROPE = 64
const TOKEN = LATENT + 2 * ROPE
const SCALES = LATENT / GROUP + 1

/** Magnitude below which a group is not scaled up further. */
const SMALLEST_MAGNITUDE = 1e-4

const E8M0_BIAS = 127
const E8M0_VALUES = Float64Array.from({ length: 256 }, (_, code) =>
  code === 255 ? Number.NaN : 2 ** (code - E8M0_BIAS),
)

/** Decodes `count` tokens, from token `first` of the page that starts at byte `page`. */
export function read584(
  bytes: Uint8Array,
  page: number,
  pageSize: number,
  first: number,
  count: number,
  dst: Row,
  to: number,
): void {
  for (let token = first; token < first + count; token++, to += LATENT + ROPE) {
    const at = page + token * TOKEN
    const scales = page + pageSize * TOKEN + token * SCALES
    for (let group = 0; group < LATENT; group += GROUP) {
      readE4m3(bytes, at + group, GROUP, E8M0_VALUES[bytes[scales + group / GROUP]], dst, to + group)
    }
    readBf16(bytes, at + LATENT, ROPE, dst, to + LATENT)
  }
}

/**
 * Encodes one token of the page that starts at byte `page`. A group's scale is max(largest magnitude, 1e-4) / 448,
 * rounded up to a power of two (DeepSeek-V3.2-Exp, `act_quant` in inference/kernel.py). The pad byte becomes 0.
 */
export function write584(
  bytes: Uint8Array,
  page: number,
  pageSize: number,
  token: number,
  src: Row,
  from: number,
): void {
  const at = page + token * TOKEN
  const scales = page + pageSize * TOKEN + token * SCALES
  for (let group = 0; group < LATENT; group += GROUP) {
    const magnitude = Math.max(largestMagnitude(src, from + group, GROUP), SMALLEST_MAGNITUDE)
    const code = scaleExponent(magnitude) + E8M0_BIAS
    bytes[scales + group / GROUP] = code
    writeE4m3(src, from + group, GROUP, E8M0_VALUES[code], bytes, at + group)
  }
  bytes[scales + SCALES - 1] = 0
  writeBf16(src, from + LATENT, ROPE, bytes, at + LATENT)
}
