import type { Row } from './format-groups.js'
import {
  largestMagnitude,
  readBf16,
  readE4m3,
  readF32,
  scaleExponent,
  writeBf16,
  writeE4m3,
  writeF32,
} from './format-groups.js'

/*
 * A token of `fp8-656`: 512 e4m3 of latent, 4 fp32 scales (one per 128 of them), 64 bf16 of rope
 * (FlashMLA 9241ae3, flash_mla_interface.py).
 */
const TOKEN = 656
const LATENT = 512
const GROUP = 128
const SCALES_AT = LATENT
const ROPE_AT = LATENT + (LATENT / GROUP) * 4
const ROPE = 64

/** Decodes `count` tokens, from token `first` of the page that starts at byte `page`. */
export function read656(
  bytes: Uint8Array,
  page: number,
  first: number,
  count: number,
  dst: Row,
  to: number,
): void {
  for (let token = first; token < first + count; token++, to += LATENT + ROPE) {
    const at = page + token * TOKEN
    for (let group = 0; group < LATENT; group += GROUP) {
      const scale = readF32(bytes, at + SCALES_AT + (group / GROUP) * 4)
      readE4m3(bytes, at + group, GROUP, scale, dst, to + group)
    }
    readBf16(bytes, at + ROPE_AT, ROPE, dst, to + LATENT)
  }
}

/**
 * Encodes one token of the page that starts at byte `page`. A group's scale is its largest magnitude / 448, rounded up
 * to a power of two (FlashMLA 9241ae3, the quantiser of its tests).
 */
export function write656(bytes: Uint8Array, page: number, token: number, src: Row, from: number): void {
  const at = page + token * TOKEN
  for (let group = 0; group < LATENT; group += GROUP) {
    const scale = 2 ** scaleExponent(largestMagnitude(src, from + group, GROUP))
    writeF32(scale, bytes, at + SCALES_AT + (group / GROUP) * 4)
    writeE4m3(src, from + group, GROUP, scale, bytes, at + group)
  }
  writeBf16(src, from + LATENT, ROPE, bytes, at + ROPE_AT)
}
