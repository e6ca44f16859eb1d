import type {
  AppendKvProblem,
  CopyPagesProblem,
  DecodeProblem,
  KvLayout,
  MergeStatesProblem,
  Problem,
  SparseDecodeProblem,
  SparsePrefillProblem,
} from '@polymla/core'

/** Values of the header's enums, by core's names. */
const OPS = {
  decode: 1,
  sparseDecode: 2,
  sparsePrefill: 3,
  appendKv: 4,
  mergeStates: 5,
  copyPages: 6,
} as const
const DTYPES = { bf16: 1, f16: 2, f32: 3, e4m3: 4 } as const
const FORMATS = { bf16: 1, fp16: 2, f32: 3, e4m3: 4, 'fp8-656': 5, 'fp8-584': 6 } as const
const MASKS = { none: 0, causal: 1, tree: 2 } as const
const ROTARY = { none: 0, interleaved: 1, neox: 2 } as const
const SPARSE = { topkLength: 1, extra: 2, extraTopkLength: 4, sink: 8 } as const

const NO_LAYOUT = [0, 0, 0, 0, 0, 0]

function layout({ format, pages, pageSize, headsKv, headDim, pageStride }: KvLayout): number[] {
  return [FORMATS[format], pages, pageSize, headsKv, headDim, pageStride]
}

function decode(p: DecodeProblem): number[] {
  return [
    ...[DTYPES[p.dtype], DTYPES[p.outDtype], MASKS[p.mask]],
    ...[p.maxBatch, p.queryTokens, p.heads, p.valueDim, p.blockTableWidth, p.splitPages],
    ...layout(p.cache),
    p.softmaxScale,
  ]
}

function sparseDecode(p: SparseDecodeProblem): number[] {
  const { extra } = p
  const flags =
    (p.topkLength ? SPARSE.topkLength : 0) |
    (extra ? SPARSE.extra : 0) |
    (extra?.topkLength ? SPARSE.extraTopkLength : 0) |
    (p.sink ? SPARSE.sink : 0)
  return [
    ...[DTYPES[p.dtype], DTYPES[p.outDtype], flags],
    ...[p.maxBatch, p.queryTokens, p.heads, p.valueDim, p.topk, extra?.topk ?? 0, p.splitPages],
    ...layout(p.cache),
    ...(extra ? layout(extra.cache) : NO_LAYOUT),
    p.softmaxScale,
  ]
}

function sparsePrefill(p: SparsePrefillProblem): number[] {
  const flags = (p.topkLength ? SPARSE.topkLength : 0) | (p.sink ? SPARSE.sink : 0)
  return [
    ...[DTYPES[p.dtype], DTYPES[p.outDtype], flags],
    ...[p.queryTokens, p.heads, p.keys, p.headDim, p.valueDim, p.topk],
    p.softmaxScale,
  ]
}

function appendKv(p: AppendKvProblem): number[] {
  return [DTYPES[p.dtype], ROTARY[p.rotary], p.maxTokens, p.ropeDim, p.tableLength, ...layout(p.cache)]
}

function mergeStates(p: MergeStatesProblem): number[] {
  return [DTYPES[p.dtype], DTYPES[p.outDtype], p.parts, p.batch, p.queryTokens, p.heads, p.valueDim]
}

function copyPages(p: CopyPagesProblem): number[] {
  return [p.maxPairs, ...layout(p.cache)]
}

/** Writes a problem as addon/problem.cpp reads it: the op, then the members of the header's struct in order. */
export function writeProblem(block: Float64Array, problem: Problem): void {
  block[0] = OPS[problem.op]
  block.set(members(problem), 1)
}

function members(problem: Problem): number[] {
  switch (problem.op) {
    case 'decode':
      return decode(problem)
    case 'sparseDecode':
      return sparseDecode(problem)
    case 'sparsePrefill':
      return sparsePrefill(problem)
    case 'appendKv':
      return appendKv(problem)
    case 'mergeStates':
      return mergeStates(problem)
    case 'copyPages':
      return copyPages(problem)
  }
}
