/**
 * The conformance suite: cases with an independent float64 oracle for every op, behaviour, recorded golden data, and
 * fault injection that shows what the suite catches. For any backend, as a library call or through vitest.
 *
 * @module @polymla/conformance
 */
export { checkRows, type FoundRows } from './cases/check-rows.js'
export { denseTolerance } from './cases/dense.js'
export { denseInputs, denseShape } from './cases/dense-data.js'
export { type DenseSpec, denseName, denseSpec } from './cases/dense-spec.js'
export { fillTokens } from './cases/host-cache.js'
export { type Comparison, compare } from './compare.js'
export { GoldenFile } from './golden/golden-file.js'
export { type VerifiedCase, type VerifiedFile, type VerifyOptions, verifyFile } from './golden/verify.js'
export { GRID_NAMES, type GridName } from './grids/grids.js'
export { type DenseInputs, denseEmptyRows, denseOracle } from './oracle/dense.js'
export { chooseRows } from './oracle/rows.js'
export { normalArray, Random } from './random.js'
export type { CaseReport, CaseStatus, ConformanceReport } from './report.js'
export {
  type CaseChoice,
  type ConformanceOnAllOptions,
  type ConformanceOptions,
  type ConformanceTarget,
  listCases,
  runConformance,
  runConformanceOnAll,
} from './run-conformance.js'
export { readSafetensors, writeSafetensors } from './safetensors/index.js'
export type { SessionOptions, Target } from './session.js'
export { FAULTS, type FaultName } from './testing/faults/all.js'
export { faultyBackend } from './testing/faulty-backend.js'
export { type PathTolerance, TOLERANCES, type Tolerance } from './tolerances.js'
