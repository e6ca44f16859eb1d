import type { HostArray } from '../dtype/index.js'
import { asHostArray } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import { read584, write584 } from './format-584.js'
import { read656, write656 } from './format-656.js'
import type { Row } from './format-groups.js'
import { readPlain, writePlain } from './format-plain.js'
import type { KvLayout } from './formats.js'
import { pageLength, storageDType, storageLength } from './formats.js'

/**
 * Dequantises one token of one KV head: `headDim` numbers into `dst` from `dstOffset`. `scale` multiplies `e4m3`
 * caches and has no meaning for other formats. Bytes that are NaN come out as NaN.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when the token is not in the cache, `storage` is not the layout's or too short
 * for it, or the numbers do not fit `dst`.
 */
export function readToken(
  layout: KvLayout,
  storage: HostArray,
  page: number,
  offset: number,
  head: number,
  dst: Row,
  dstOffset: number,
  scale = 1,
): void {
  readTokens(layout, storage, page, offset, 1, head, dst, dstOffset, scale)
}

/**
 * Dequantises `count` tokens of a page, from token `offset` on, to rows that follow each other in `dst`. Otherwise
 * as {@link readToken}, and much faster than as many calls of it.
 */
export function readTokens(
  layout: KvLayout,
  storage: HostArray,
  page: number,
  offset: number,
  count: number,
  head: number,
  dst: Row,
  dstOffset: number,
  scale = 1,
): void {
  const elements = checkStorage(layout, storage)
  checkIndex('page', page, layout.pages)
  checkTokens(layout, offset, count, head)
  checkRow('dst', dst, dstOffset, count * layout.headDim)
  const { format, pageSize, headsKv, headDim } = layout
  const start = page * layout.pageStride
  if (format === 'fp8-656') read656(elements as Uint8Array, start, offset, count, dst, dstOffset)
  else if (format === 'fp8-584')
    read584(elements as Uint8Array, start, pageSize, offset, count, dst, dstOffset)
  else readPlain(layout, elements, start + (offset * headsKv + head) * headDim, count, dst, dstOffset, scale)
}

/**
 * Quantises `headDim` numbers of `src`, from `srcOffset` on, into one token of one KV head and touches no other
 * byte. Every number is rounded to nearest even; `e4m3` divides by `scale` first. Where a format has scales of its
 * own, they are chosen from the largest finite magnitude of each group, so that infinities become ±448 times the
 * scale; NaN stays NaN.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` as {@link readToken}, and when an `e4m3` scale is zero or not finite.
 */
export function writeToken(
  layout: KvLayout,
  storage: HostArray,
  page: number,
  offset: number,
  head: number,
  src: Row,
  srcOffset: number,
  scale = 1,
): void {
  const elements = checkStorage(layout, storage)
  checkIndex('page', page, layout.pages)
  checkTokens(layout, offset, 1, head)
  checkRow('src', src, srcOffset, layout.headDim)
  const { format, pageSize, headsKv, headDim } = layout
  const start = page * layout.pageStride
  if (format === 'fp8-656') write656(elements as Uint8Array, start, offset, src, srcOffset)
  else if (format === 'fp8-584') write584(elements as Uint8Array, start, pageSize, offset, src, srcOffset)
  else writePlain(layout, elements, start + (offset * headsKv + head) * headDim, src, srcOffset, scale)
}

/**
 * Copies page `from` over page `to`, byte for byte; what lies between pages stays.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when a page is not in the cache or `storage` is not the layout's.
 */
export function copyPage(layout: KvLayout, storage: HostArray, from: number, to: number): void {
  const elements = checkStorage(layout, storage)
  checkIndex('from', from, layout.pages)
  checkIndex('to', to, layout.pages)
  const start = from * layout.pageStride
  elements.copyWithin(to * layout.pageStride, start, start + pageLength(layout))
}

function checkStorage(layout: KvLayout, storage: HostArray): HostArray {
  const elements = asHostArray(storageDType(layout), storage, 'storage')
  const length = storageLength(layout)
  if (elements.length < length) throw invalidArgument('storage.length', `at least ${length}`, elements.length)
  return elements
}

function checkTokens(layout: KvLayout, offset: number, count: number, head: number): void {
  checkIndex('offset', offset, layout.pageSize)
  checkIndex('count', count, layout.pageSize - offset + 1)
  checkIndex('head', head, layout.headsKv)
}

function checkIndex(path: string, value: number, end: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value < end) return
  throw invalidArgument(path, end > 0 ? `an integer from 0 to ${end - 1}` : 'a cache with pages', value)
}

function checkRow(path: string, row: Row, from: number, length: number): void {
  if (Number.isSafeInteger(from) && from >= 0 && from + length <= row.length) return
  throw invalidArgument(`${path}.length`, `${length} numbers from offset ${from}`, row.length)
}
