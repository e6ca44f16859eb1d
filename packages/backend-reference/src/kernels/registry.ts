import { appendKv } from './append-kv.js'
import { copyBytes, fillBytes } from './bytes.js'
import { copyPages } from './copy-pages.js'
import { decode } from './decode.js'
import { mergeStates } from './merge-states.js'
import { schedule } from './schedule.js'
import { sparseDecode } from './sparse-decode.js'
import { sparsePrefill } from './sparse-prefill.js'

/** Every kernel: the ops by their name in problems, and what moves bytes and schedules on a stream. */
export const kernels = {
  decode,
  sparseDecode,
  sparsePrefill,
  appendKv,
  mergeStates,
  copyPages,
  schedule,
  copyBytes,
  fillBytes,
}

export type KernelName = keyof typeof kernels
