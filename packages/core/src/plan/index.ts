export type { DecodePlan, DecodeRun, DecodeUpdate } from './decode-plan.js'
export type { HostSchedule } from './schedule-state.js'
export type { SparseDecodePlan, SparseDecodeRun, SparseDecodeUpdate } from './sparse-decode-plan.js'
