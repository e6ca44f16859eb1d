import { PolymlaError } from '../errors.js'
import type { DecodePlan } from '../plan/decode-plan.js'
import type { SparseDecodePlan } from '../plan/sparse-decode-plan.js'

/** What one call fixed for all later ones with the same metadata. */
export interface SchedConfig {
  readonly device: string
  readonly batch: number
  readonly queryTokens: number
  readonly heads: number
  readonly pageSize: number
  readonly headsKv: number
  readonly causal: boolean
  readonly isFp8Kvcache: boolean
  readonly topk: number | null
  readonly extraPageSize: number | null
  readonly extraTopk: number | null
}

/**
 * Tile scheduler metadata, filled by the first `flashMlaWithKvcache` call it is given to and reused by the others, one
 * per layer. It owns a plan: dispose it when the shapes change.
 */
export class FlashMlaSchedMeta {
  #config: SchedConfig | null = null
  #plan: DecodePlan | SparseDecodePlan | null = null
  #problem = ''

  /** Checks a call against the first that went through, as FlashMLA does. @internal */
  match(config: SchedConfig): void {
    if (!this.#config) return
    for (const name of Object.keys(config) as (keyof SchedConfig)[]) {
      if (this.#config[name] !== config[name]) {
        throw new PolymlaError(
          'POLYMLA_PLAN_STALE',
          `tileSchedulerMetadata: made for ${name} ${this.#config[name]}, called with ${config[name]}`,
          { fix: 'Call getMlaMetadata() anew when shapes or modes change' },
        )
      }
    }
  }

  /** Keeps the configuration of a call that went through. @internal */
  adopt(config: SchedConfig): void {
    this.#config = config
  }

  /** The plan of an earlier call for the same problem, or a new one in its place. @internal */
  planFor<P extends DecodePlan | SparseDecodePlan>(problem: P['problem'], make: () => P): P {
    const key = JSON.stringify(problem)
    if (!this.#plan || this.#problem !== key) {
      this.#plan?.dispose()
      this.#plan = null
      this.#plan = make()
      this.#problem = key
    }
    return this.#plan as P
  }

  /** Idempotent. */
  dispose(): void {
    this.#plan?.dispose()
    this.#plan = null
    this.#config = null
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
