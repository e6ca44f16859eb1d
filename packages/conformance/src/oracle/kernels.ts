import { type FloatDType, fromBits } from '@polymla/core'
import { CODE } from './kernels-code.js'

/** What `assembly/attend.ts` exports. Numbers but counts and scales are addresses. */
interface Kernels {
  lookUp8(src: number, count: number, table: number, scale: number, dst: number): void
  lookUp16(src: number, count: number, table: number, dst: number): void
  widen(src: number, count: number, dst: number): void
  scores1(q: number, keys: number, width: number, count: number, scores: number): void
  scores2(q: number, keys: number, width: number, count: number, scores: number): void
  values1(weights: number, keys: number, width: number, count: number, out: number, dims: number): void
  values2(weights: number, keys: number, width: number, count: number, out: number, dims: number): void
}

interface Memory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

/** What of WebAssembly is used; the types of Node have none of it. */
declare const WebAssembly: {
  Memory: new (descriptor: { initial: number }) => Memory
  Module: new (code: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

const PAGE = 65536
const memory = new WebAssembly.Memory({ initial: 8 })
const code = Uint8Array.from(atob(CODE), (char) => char.charCodeAt(0))

export const kernels = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } })
  .exports as Kernels

/** The kernels' memory; growing it makes views new. */
export let heap = views()

/** Values of every code of e4m3 and f16, at fixed addresses; 0 is left free. */
export const TABLES = { e4m3: 64, f16: 64 + 4 * 2 ** 8 } as const
/** First address behind the tables, aligned. */
export const FREE = aligned(TABLES.f16 + 4 * 2 ** 16)
for (const dtype of ['e4m3', 'f16'] as const) fillTable(dtype, TABLES[dtype], dtype === 'e4m3' ? 8 : 16)

/** The next address on a border that suits everything. */
export function aligned(address: number): number {
  return Math.ceil(address / 64) * 64
}

/** Makes the memory at least `bytes` long. */
export function reserve(bytes: number): void {
  const more = Math.ceil((bytes - memory.buffer.byteLength) / PAGE)
  if (more <= 0) return
  memory.grow(more)
  heap = views()
}

function views() {
  const { buffer } = memory
  return {
    u8: new Uint8Array(buffer),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
    view: new DataView(buffer),
  }
}

function fillTable(dtype: FloatDType, address: number, bits: number): void {
  for (let i = 0; i < 2 ** bits; i++) heap.f32[address / 4 + i] = fromBits(i, dtype)
}
