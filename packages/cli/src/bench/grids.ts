import type { BenchCase, DenseCase, DenseKind, OpCase, SparseDecodeCase, SparsePrefillCase } from './rows.js'

export const GRIDS = ['smoke', 'cpu', 'dense-h200', 'sparse-h200', 'prefill-h200', 'ops'] as const
export type GridName = (typeof GRIDS)[number]

/** The cases of a named grid; its dense cases are of `kind`. */
export function grid(name: GridName, kind: DenseKind): BenchCase[] {
  switch (name) {
    case 'smoke':
      return [
        dense(kind, 1, 1, 512, 16),
        dense(kind, 4, 2, 256, 8, { varlen: true, causal: true }),
        sparse({ b: 1, h_q: 16, s_q: 1, s_kv: 1024, topk: 128, d_qk: 576 }),
        sparse({ b: 1, h_q: 16, s_q: 1, s_kv: 1024, topk: 64, extra_topk: 64, d_qk: 512 }),
        prefill({ s_q: 8, s_kv: 512, topk: 64, h_q: 16, d_qk: 576 }),
      ]
    case 'cpu':
      return product([1], [1], [4096, 16384], [16, 128], kind).concat(
        product([4, 16], [1], [4096], [16], kind),
        product([4], [2, 4], [4096], [16], kind, { varlen: true, causal: true }),
      )
    case 'dense-h200':
      return denseH200(kind)
    case 'sparse-h200':
      return sparseH200()
    case 'prefill-h200':
      return prefillH200()
    case 'ops':
      return ops()
  }
}

interface DenseFlags {
  readonly varlen?: boolean
  readonly causal?: boolean
}

/** Every combination, heads outermost and lengths innermost. */
export function product(
  batches: readonly number[],
  queryTokens: readonly number[],
  lengths: readonly number[],
  heads: readonly number[],
  kind: DenseKind,
  flags: DenseFlags = {},
): DenseCase[] {
  return heads.flatMap((h) =>
    batches.flatMap((b) => queryTokens.flatMap((s) => lengths.map((k) => dense(kind, b, s, k, h, flags)))),
  )
}

function dense(
  kind: DenseKind,
  b: number,
  s_q: number,
  s_k: number,
  h_q: number,
  { varlen = false, causal = false }: DenseFlags = {},
): DenseCase {
  return { kind, b, s_q, s_k, h_q, varlen, causal }
}

function sparse(
  row: Omit<SparseDecodeCase, 'kind' | 'extra_topk'> & { extra_topk?: number },
): SparseDecodeCase {
  return { kind: 'sparse_decode.fp8', ...row, extra_topk: row.extra_topk ?? null }
}

function prefill(row: Omit<SparsePrefillCase, 'kind'>): SparsePrefillCase {
  return { kind: 'sparse_prefill.bf16', ...row }
}

/** FlashMLA's performance grid (9241ae3, dense decoding test) and serving shapes from one request to 256. */
function denseH200(kind: DenseKind): DenseCase[] {
  const flashMla = [1, 2].flatMap((s_q) =>
    product([128], [s_q], [4096, 8192, 16384, 32768], [128], kind, { varlen: true, causal: s_q > 1 }),
  )
  const shapes = [
    [1, 4096],
    [1, 16384],
    [1, 65536],
    [1, 131072],
    [4, 8192],
    [16, 4096],
    [32, 8192],
    [64, 4096],
    [64, 16384],
    [128, 4096],
    [128, 8192],
    [256, 2048],
    [256, 8192],
  ] as const
  const serving = [16, 32, 64, 128].flatMap((h_q) => shapes.map(([b, s_k]) => dense(kind, b, 1, s_k, h_q)))
  const speculation = product([64], [2, 4], [8192], [16, 64], kind, { varlen: true, causal: true })
  return [...flashMla, ...serving, ...speculation]
}

/** DeepSeek-V3.2 and V4 shapes after FlashMLA's sparse decoding test (9241ae3). */
function sparseH200(): SparseDecodeCase[] {
  const v32 = (b: number, h_q: number, s_q: number, topk = 2048) =>
    sparse({ b, h_q, s_q, s_kv: 32768, topk, d_qk: 576 })
  const v4 = (b: number) =>
    sparse({ b, h_q: 128, s_q: 2, s_kv: 16384, topk: 128, extra_topk: 1024, d_qk: 512 })
  return [
    ...[128, 64].flatMap((h_q) => [2, 64, 128].map((b) => v32(b, h_q, 2))),
    ...[1, 64, 128].map((b) => v32(b, 128, 1)),
    ...[64, 128].map(v4),
    ...[128, 64].map((h_q) => v32(148, h_q, 2, 16384)),
  ]
}

/** Shapes of FlashMLA's sparse prefill test (9241ae3). */
function prefillH200(): SparsePrefillCase[] {
  return [
    ...[8192, 32768, 131072].map((s_kv) => prefill({ s_q: 4096, s_kv, topk: 2048, h_q: 128, d_qk: 576 })),
    ...[8192, 65536].map((s_kv) => prefill({ s_q: 4096, s_kv, topk: 512, h_q: 64, d_qk: 512 })),
    prefill({ s_q: 4096, s_kv: 8192, topk: 1024, h_q: 128, d_qk: 512 }),
  ]
}

/** A step of a large batch, a prompt, and sizes that fill a GPU. */
function ops(): OpCase[] {
  return [
    ...(['append_kv.bf16', 'append_kv.fp8'] as const).flatMap((kind) =>
      [128, 8192, 131072].map((tokens) => ({ kind, tokens })),
    ),
    ...[64, 4096, 262144].map((tokens) => ({ kind: 'copy_pages.bf16' as const, tokens })),
    ...[2, 8].flatMap((parts) =>
      [1024, 65536].map((rows) => ({ kind: 'merge_states.bf16' as const, parts, rows })),
    ),
  ]
}
