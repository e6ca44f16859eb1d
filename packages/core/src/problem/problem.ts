import { type AppendKvProblem, appendKvProblem } from './append-kv.js'
import { object, oneOf } from './checks.js'
import { type CopyPagesProblem, copyPagesProblem } from './copy-pages.js'
import { type DecodeProblem, decodeProblem } from './decode.js'
import { type MergeStatesProblem, mergeStatesProblem } from './merge-states.js'
import { type SparseDecodeProblem, sparseDecodeProblem } from './sparse-decode.js'
import { type SparsePrefillProblem, sparsePrefillProblem } from './sparse-prefill.js'

/** A validated, complete description of one op: what `supports` answers and `prepare` makes ready. */
export type Problem =
  | DecodeProblem
  | SparseDecodeProblem
  | SparsePrefillProblem
  | AppendKvProblem
  | MergeStatesProblem
  | CopyPagesProblem

export type Op = Problem['op']

const VALIDATORS = {
  decode: decodeProblem,
  sparseDecode: sparseDecodeProblem,
  sparsePrefill: sparsePrefillProblem,
  appendKv: appendKvProblem,
  mergeStates: mergeStatesProblem,
  copyPages: copyPagesProblem,
}

/** Validates a problem that a caller may have put together by hand. Throws `POLYMLA_INVALID_ARGUMENT`. */
export function checkProblem(problem: Problem): Problem {
  const { op, ...given } = object('problem', problem)
  const validate = VALIDATORS[oneOf('problem.op', op, Object.keys(VALIDATORS) as Op[])]
  return validate(given as never)
}
