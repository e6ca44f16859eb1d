import type { FloatDType, HostArray } from '../dtype/index.js'
import { decodeInto, encodeInto } from '../dtype/index.js'
import { invalidArgument } from '../errors.js'
import type { Row } from './format-groups.js'
import { readE4m3, writeE4m3 } from './format-groups.js'
import type { KvLayout } from './formats.js'
import { storageDType } from './formats.js'

/** Decodes tokens of one KV head, from the number at element `at` on; one scale serves an e4m3 cache. */
export function readPlain(
  layout: KvLayout,
  storage: HostArray,
  at: number,
  count: number,
  dst: Row,
  to: number,
  scale: number,
): void {
  const { headsKv, headDim } = layout
  const dtype = storageDType(layout) as FloatDType
  for (let token = 0; token < count; token++, at += headsKv * headDim, to += headDim) {
    if (dtype === 'e4m3') readE4m3(storage as Uint8Array, at, headDim, scale, dst, to)
    else decodeInto(storage as HostArray<FloatDType>, at, dst, to, headDim, dtype)
  }
}

/** Encodes one token of one KV head at element `at`; e4m3 divides by `scale`. */
export function writePlain(
  layout: KvLayout,
  storage: HostArray,
  at: number,
  src: Row,
  from: number,
  scale: number,
): void {
  const dtype = storageDType(layout) as FloatDType
  if (dtype === 'e4m3') {
    if (!Number.isFinite(scale) || scale === 0) throw invalidArgument('scale', 'a finite number but 0', scale)
    writeE4m3(src, from, layout.headDim, scale, storage as Uint8Array, at)
  } else {
    encodeInto(src, from, storage as HostArray<FloatDType>, at, layout.headDim, dtype)
  }
}
