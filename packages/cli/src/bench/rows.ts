import type { DevicePeaks } from '@polymla/core'
import type { CallRow } from './calls.js'
import type { Efficiency } from './efficiency.js'
import type { Group } from './groups.js'

/** Dense decode: `b` requests of `s_k` tokens, or, with `varlen`, of lengths drawn around it. */
export interface DenseCase {
  readonly kind: DenseKind
  readonly b: number
  /** Query tokens per request. */
  readonly s_q: number
  readonly s_k: number
  /** Query heads. */
  readonly h_q: number
  readonly varlen: boolean
  readonly causal: boolean
}

export type DenseKind = 'dense.bf16' | 'dense.fp16' | 'dense.f32' | 'dense.fp8'

/** Sparse decode over a packed fp8 cache: fp8-656 when `d_qk` is 576, fp8-584 when it is 512. */
export interface SparseDecodeCase {
  readonly kind: 'sparse_decode.fp8'
  readonly b: number
  readonly h_q: number
  readonly s_q: number
  /** Tokens of each request that indices are drawn from. */
  readonly s_kv: number
  readonly topk: number
  /** Indices into a second cache, of s_kv / 4 tokens per request; null for none. */
  readonly extra_topk: number | null
  readonly d_qk: 512 | 576
}

export interface SparsePrefillCase {
  readonly kind: 'sparse_prefill.bf16'
  /** Query tokens of all requests together. */
  readonly s_q: number
  readonly s_kv: number
  readonly topk: number
  readonly h_q: number
  readonly d_qk: 512 | 576
}

/** The ops around decoding, of which memory is the limit: their GB/s count what is read and what is written. */
export interface OpCase {
  readonly kind: 'append_kv.bf16' | 'append_kv.fp8' | 'copy_pages.bf16' | 'merge_states.bf16'
  /** Tokens that are appended, or those of the pages that are copied. */
  readonly tokens?: number
  /** Partial results of so many query rows of 512 each. */
  readonly parts?: number
  readonly rows?: number
}

export type BenchCase = DenseCase | SparseDecodeCase | SparsePrefillCase | OpCase

/** What a case took: median and extremes in microseconds, and rates by the median. */
export interface Timing {
  readonly us: number
  readonly us_min: number
  readonly us_max: number
  readonly tflops: number
  readonly gbps: number
}

/** The same case in a baseline, and how many times faster it is here. */
export interface Compared {
  /** The fastest, where there are several. */
  readonly baseline_us: number
  readonly speedup: number
  /** Where there are several: their times by kind. */
  readonly baselines?: Readonly<Record<string, number>>
}

export type BenchRow = BenchCase & Timing & Partial<Efficiency> & Partial<Compared>

/** What `bench --json` writes and `--baseline` reads. */
export interface BenchReport {
  readonly device: string
  /** Version of its driver, where the backend tells. */
  readonly driver?: string
  readonly date: string
  readonly commit?: string
  /** What the device can do at best, as measured before the rows; null where it cannot tell. */
  readonly peaks: DevicePeaks | null
  readonly rows: readonly BenchRow[]
  /** Of dense rows with a baseline, by what binds such shapes on a large GPU. */
  readonly groups?: readonly Group[]
  /** What calls cost the host, and a step of many layers the device; when asked for. */
  readonly calls?: readonly CallRow[]
  /** Cases that the device could not run, and why. */
  readonly skipped: readonly (BenchCase & { readonly reason: string })[]
}

/** What makes a case: the fields that two rows must share to be compared, in the order in which labels show them. */
const FIELDS = [
  'kind',
  'b',
  's_q',
  's_k',
  's_kv',
  'topk',
  'extra_topk',
  'h_q',
  'd_qk',
  'tokens',
  'parts',
  'rows',
  'varlen',
  'causal',
] as const

/** Equal for rows of the same case, whatever else they hold; null and absent are the same. */
export function caseKey(row: object): string {
  return JSON.stringify(FIELDS.map((field) => (row as Record<string, unknown>)[field] ?? null))
}

/** `dense.bf16 b128 s_q2 s_k4096 h_q128 varlen causal` */
export function caseLabel(row: BenchCase): string {
  const shown = (field: (typeof FIELDS)[number]) => {
    const value = (row as unknown as Record<string, unknown>)[field] ?? false
    if (field === 'kind' || value === false) return value || ''
    return value === true ? field : `${field}${value}`
  }
  return FIELDS.map(shown).filter(Boolean).join(' ')
}
