/**
 * FlashMLA's function names and argument order (9241ae3) over this library's plans, for engines that port from it.
 *
 * @module @polymla/core/flash-mla
 */
export {
  type FlashMlaOptions,
  flashAttnVarlenFunc,
  flashMlaSparseFwd,
  flashMlaWithKvcache,
  getMlaMetadata,
} from './flash-mla.js'
export type { FlashMlaSchedMeta } from './sched-meta.js'
