import { invalidArgument } from '../errors.js'
import { finite, integer, object } from './checks.js'

/** The fields of a Hugging Face `config.json` that fix the softmax scale of a DeepSeek-style MLA layer. */
export interface MlaScaleConfig {
  readonly qk_nope_head_dim: number
  readonly qk_rope_head_dim: number
  readonly rope_scaling?: RopeScaling | null
  /** The name that Transformers 5 gives `rope_scaling` when it saves a config. */
  readonly rope_parameters?: RopeScaling | null
}

interface RopeScaling {
  readonly type?: string
  readonly rope_type?: string
  readonly factor?: number
  readonly mscale_all_dim?: number
}

/**
 * Softmax scale of a model: (nope + rope)^-½, under yarn times (0.1 · mscale_all_dim · ln factor + 1)², as DeepSeek-V3's
 * published modelling code has it. Throws `POLYMLA_INVALID_ARGUMENT` for a rope scaling it does not know: a guess here
 * would be wrong in silence.
 */
export function softmaxScaleFromConfig(config: MlaScaleConfig): number {
  const { qk_nope_head_dim, qk_rope_head_dim } = object('config', config)
  const nope = integer('config.qk_nope_head_dim', qk_nope_head_dim, 0)
  const rope = integer('config.qk_rope_head_dim', qk_rope_head_dim, 0)
  if (nope + rope === 0)
    throw invalidArgument('config.qk_nope_head_dim', 'a head of at least one dimension', 0)
  const base = (nope + rope) ** -0.5
  const name = (config.rope_scaling ?? null) === null ? 'rope_parameters' : 'rope_scaling'
  const scaling = config[name] ?? null
  if (scaling === null) return base
  const path = `config.${name}`
  const type = scaling.rope_type ?? scaling.type
  if (type === 'default') return base
  if (type !== 'yarn') {
    throw invalidArgument(`${path}.type`, 'yarn or default', type, 'Pass softmaxScale yourself')
  }
  const factor = finite(`${path}.factor`, scaling.factor)
  if (factor <= 0) throw invalidArgument(`${path}.factor`, 'a factor > 0', factor)
  const allDim = finite(`${path}.mscale_all_dim`, scaling.mscale_all_dim ?? 0)
  const mscale = factor <= 1 ? 1 : 0.1 * allDim * Math.log(factor) + 1
  return base * mscale * mscale
}
