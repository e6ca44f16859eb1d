import type { DType } from '@polymla/core'

/** Bytes per element of every safetensors dtype that fills whole bytes. */
const SIZES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
} as const

/** A safetensors dtype, as files spell it. */
export type FileDType = keyof typeof SIZES

export const FILE_DTYPES = Object.freeze(Object.keys(SIZES)) as readonly FileDType[]

export function isFileDType(value: unknown): value is FileDType {
  return typeof value === 'string' && Object.hasOwn(SIZES, value)
}

/** Bytes per element. */
export function fileItemSize(dtype: FileDType): number {
  return SIZES[dtype]
}

const CORE: Partial<Record<FileDType, DType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F8_E4M3: 'e4m3',
  I32: 'i32',
  U8: 'u8',
}

/** The library's name for a file dtype; `undefined` for those it does not compute with. */
export function coreDType(dtype: FileDType): DType | undefined {
  return CORE[dtype]
}
