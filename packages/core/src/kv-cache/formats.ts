import type { DType } from '../dtype/index.js'
import { itemSize } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import { options } from '../problem/checks.js'

/**
 * What a token of a KV cache looks like in memory.
 *
 * | format | bytes per token and head | holds |
 * | --- | --- | --- |
 * | `bf16`, `fp16`, `f32` | headDim × 2, 2, 4 | the numbers |
 * | `e4m3` | headDim | the numbers divided by one scale per tensor |
 * | `fp8-656` | 656 | 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 of rope |
 * | `fp8-584` | 584 | 448 e4m3 and 64 bf16 of rope; apart from them 7 e8m0 scales (one per 64) and a pad byte |
 *
 * The packed formats are FlashMLA's (9241ae3, `FP8KVCacheLayout`): 656 serves DeepSeek-V3.2, 584 ("MODEL1")
 * DeepSeek-V4. A 584 page holds first all tokens, 576 bytes each, then all scales, 8 bytes each.
 */
export type KvFormat = 'bf16' | 'fp16' | 'f32' | 'e4m3' | 'fp8-656' | 'fp8-584'

/** The one shape that a packed format comes in; always with a single KV head. */
export interface PackedShape {
  /** Numbers per token after dequantisation: the width of a query. */
  readonly headDim: number
  /** How many of them, from the first, are the value. */
  readonly valueDim: number
  readonly tokenBytes: number
}

export interface KvFormatInfo {
  /** Element type of the cache tensor. */
  readonly dtype: DType
  /** Given for packed formats; plain formats take any width. */
  readonly packed?: PackedShape
}

/** Facts about every format. */
export const KV_FORMATS: Readonly<Record<KvFormat, KvFormatInfo>> = {
  bf16: { dtype: 'bf16' },
  fp16: { dtype: 'f16' },
  f32: { dtype: 'f32' },
  e4m3: { dtype: 'e4m3' },
  'fp8-656': { dtype: 'u8', packed: { headDim: 576, valueDim: 512, tokenBytes: 656 } },
  'fp8-584': { dtype: 'u8', packed: { headDim: 512, valueDim: 512, tokenBytes: 584 } },
}

/** True when `value` names a format. */
export function isKvFormat(value: unknown): value is KvFormat {
  return typeof value === 'string' && Object.hasOwn(KV_FORMATS, value)
}

/**
 * Where the tokens of a paged cache lie. Inside a page they are packed: `[pageSize, headsKv, headDim]` in plain
 * formats, as {@link KvFormat} tells in packed ones. Pages may lie further apart than they are long.
 */
export interface KvLayout {
  readonly format: KvFormat
  /** Pages in the cache. */
  readonly pages: number
  /** Tokens per page. */
  readonly pageSize: number
  readonly headsKv: number
  /** Numbers per token and head, after dequantisation. */
  readonly headDim: number
  /** From the start of a page to the start of the next, in storage elements. */
  readonly pageStride: number
}

/** A {@link KvLayout} as users write it. */
export interface KvLayoutOptions {
  readonly format: KvFormat
  readonly pages: number
  /** Default 64. */
  readonly pageSize?: number | undefined
  /** Default 1. */
  readonly headsKv?: number | undefined
  /** A multiple of 16. Default: what a packed format has, else 576. */
  readonly headDim?: number | undefined
  /** Default: the length of a page. */
  readonly pageStride?: number | undefined
}

/**
 * A checked, frozen layout with all defaults filled in.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` for an unknown format, numbers that are not counts, a head dim that is no
 * multiple of 16 or not that of a packed format, a stride shorter than a page, or a cache of 2^53 bytes or more.
 */
export function kvLayout(given: KvLayoutOptions): KvLayout {
  const known = ['format', 'pages', 'pageSize', 'headsKv', 'headDim', 'pageStride'] as const
  const { format } = options('layout', given, known)
  if (!isKvFormat(format)) {
    throw invalidArgument('format', `one of ${Object.keys(KV_FORMATS).join(', ')}`, format)
  }
  const { dtype, packed } = KV_FORMATS[format]
  const pages = count('pages', given.pages, 0)
  const pageSize = count('pageSize', given.pageSize ?? 64, 1)
  const headsKv = count('headsKv', given.headsKv ?? 1, 1)
  const headDim = count('headDim', given.headDim ?? packed?.headDim ?? 576, 1)
  if (packed && headDim !== packed.headDim) {
    throw invalidArgument('headDim', `${packed.headDim}, the width of ${format}`, headDim)
  }
  if (packed && headsKv !== 1) throw invalidArgument('headsKv', `1, as ${format} has one KV head`, headsKv)
  if (headDim % 16 !== 0) throw invalidArgument('headDim', 'a multiple of 16', headDim)

  const page = pageSize * headsKv * (packed?.tokenBytes ?? headDim)
  const pageStride = count('pageStride', given.pageStride ?? page, 1)
  if (pageStride < page)
    throw invalidArgument('pageStride', `at least ${page}, the length of a page`, pageStride)
  if (!Number.isSafeInteger(Math.max(pages, 1) * pageStride * itemSize(dtype))) {
    throw invalidArgument('pages', 'a cache of less than 2^53 bytes', pages)
  }
  return Object.freeze({ format, pages, pageSize, headsKv, headDim, pageStride })
}

/** Element type of the cache tensor. */
export function storageDType(layout: KvLayout): DType {
  return KV_FORMATS[layout.format].dtype
}

/** Shape of the cache tensor: `[pages, pageSize, headsKv, headDim]`, in packed formats the bytes per token last. */
export function storageShape(layout: KvLayout): number[] {
  const { format, pages, pageSize, headsKv, headDim } = layout
  return [pages, pageSize, headsKv, KV_FORMATS[format].packed?.tokenBytes ?? headDim]
}

/** Strides of the cache tensor, in storage elements. */
export function storageStrides(layout: KvLayout): number[] {
  const [, , headsKv, width] = storageShape(layout)
  return [layout.pageStride, headsKv * width, width, 1]
}

/** Storage elements of one page, without what may lie between pages. */
export function pageLength(layout: KvLayout): number {
  const [, pageSize, headsKv, width] = storageShape(layout)
  return pageSize * headsKv * width
}

/** Bytes of one page, without what may lie between pages. */
export function pageBytes(layout: KvLayout): number {
  return pageLength(layout) * itemSize(storageDType(layout))
}

/** Bytes that a token takes, over all KV heads and with its scales. */
export function tokenBytes(layout: KvLayout): number {
  return pageBytes(layout) / layout.pageSize
}

/** Storage elements from the start of the first page to the end of the last. */
export function storageLength(layout: KvLayout): number {
  return layout.pages === 0 ? 0 : (layout.pages - 1) * layout.pageStride + pageLength(layout)
}

function count(path: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw invalidArgument(path, `an integer from ${least} to 2^53 - 1`, value)
}
