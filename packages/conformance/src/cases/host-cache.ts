import { type HostArray, hostArray, type KvLayout, storageDType, storageLength } from '@polymla/core'
import { normalTable, type Random } from '../random.js'

/** Spread of the keys: FlashMLA's tests draw N(0, 1) / 10 clamped to ±1, and its tolerances assume that. */
const KEY_SIGMA = 0.1
const KEY_CLAMP = 1
/** Spread of the e4m3 codes whose scale brings them to {@link KEY_SIGMA}. */
const CODE_SIGMA = 64
/** The power of two nearest to what brings codes to {@link KEY_SIGMA}. */
const CODE_SCALE = 2 ** Math.round(Math.log2(KEY_SIGMA / CODE_SIGMA))

/** Storage of a cache in which everything is NaN: numbers, scales and the gaps between pages. */
export function poisonedStorage(layout: KvLayout): HostArray {
  const storage = hostArray(storageDType(layout), storageLength(layout))
  bytesOf(storage).fill(layout.format === 'e4m3' ? 0x7f : 0xff)
  return storage
}

/** The array's bytes. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** The dequantisation factor with which random keys of a cache spread as {@link KEY_SIGMA}. */
export function keyDescale(layout: KvLayout): number {
  return layout.format === 'e4m3' ? KEY_SIGMA / 0.8 : 1
}

/**
 * Gives tokens [first, first + count) of a page random keys; touches no other byte. The fp32 scales of `fp8-656` are
 * powers of two, so that kernels which dequantise to bf16 (FlashMLA's do) lose nothing, unless `anyScale`.
 */
export function fillTokens(
  random: Random,
  layout: KvLayout,
  storage: HostArray,
  page: number,
  first: number,
  count: number,
  anyScale = false,
): void {
  const start = page * layout.pageStride
  if (layout.format === 'fp8-656') {
    for (let token = first; token < first + count; token++) {
      fill656(random, storage as Uint8Array, start + token * 656, anyScale)
    }
  } else if (layout.format === 'fp8-584') {
    for (let token = first; token < first + count; token++) {
      fill584(random, storage as Uint8Array, start, layout.pageSize, token)
    }
  } else {
    const width = layout.headsKv * layout.headDim
    const begin = start + first * width
    random.fill(storage, plainTable(layout), begin, begin + count * width)
  }
}

function plainTable(layout: KvLayout): HostArray {
  switch (layout.format) {
    case 'e4m3':
      return normalTable('e4m3', 0.8, 8)
    case 'fp16':
      return normalTable('f16', KEY_SIGMA, KEY_CLAMP)
    case 'f32':
      return normalTable('f32', KEY_SIGMA, KEY_CLAMP)
    default:
      return normalTable('bf16', KEY_SIGMA, KEY_CLAMP)
  }
}

/** 512 e4m3, 4 fp32 scales, 64 bf16 of rope. */
function fill656(random: Random, bytes: Uint8Array, at: number, anyScale: boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  random.fill<HostArray>(bytes, normalTable('e4m3', CODE_SIGMA, 448), at, at + 512)
  for (let group = 0; group < 4; group++) {
    const scale = anyScale
      ? (KEY_SIGMA / CODE_SIGMA) * (0.5 + random.uniform())
      : CODE_SCALE / random.integer(1, 2)
    view.setFloat32(at + 512 + 4 * group, scale, true)
  }
  fillRope(random, bytes, at + 528)
}

/** 448 e4m3 and 64 bf16 of rope; behind all tokens of the page, 7 e8m0 scales and a byte that means nothing. */
function fill584(random: Random, bytes: Uint8Array, page: number, pageSize: number, token: number): void {
  const at = page + token * 576
  const scales = page + pageSize * 576 + token * 8
  random.fill<HostArray>(bytes, normalTable('e4m3', CODE_SIGMA, 448), at, at + 448)
  for (let group = 0; group < 7; group++) {
    bytes[scales + group] = 127 + Math.log2(CODE_SCALE) - random.integer(0, 1)
  }
  fillRope(random, bytes, at + 448)
}

/** 64 bf16. Token sizes are even, so rope always starts on an even byte. */
function fillRope(random: Random, bytes: Uint8Array, at: number): void {
  random.fill<HostArray>(
    new Uint16Array(bytes.buffer, bytes.byteOffset + at, 64),
    normalTable('bf16', KEY_SIGMA, KEY_CLAMP),
  )
}
