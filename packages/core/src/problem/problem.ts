import type { AppendKvProblem } from './append-kv.js'
import type { CopyPagesProblem } from './copy-pages.js'
import type { DecodeProblem } from './decode.js'
import type { MergeStatesProblem } from './merge-states.js'
import type { SparseDecodeProblem } from './sparse-decode.js'
import type { SparsePrefillProblem } from './sparse-prefill.js'

/** A validated, complete description of one op: what `supports` answers and `prepare` makes ready. */
export type Problem =
  | DecodeProblem
  | SparseDecodeProblem
  | SparsePrefillProblem
  | AppendKvProblem
  | MergeStatesProblem
  | CopyPagesProblem

export type Op = Problem['op']
