import { describe, expect, it } from 'vitest'
import { coded } from '../testing/open-memory.js'
import { type MlaScaleConfig, softmaxScaleFromConfig } from './index.js'

const dims = { qk_nope_head_dim: 128, qk_rope_head_dim: 64 }
const yarn = (factor: number, mscale_all_dim: number) => ({ type: 'yarn', factor, mscale_all_dim })

describe('softmaxScaleFromConfig', () => {
  it.each<[string, number, NonNullable<MlaScaleConfig['rope_scaling']> | null]>([
    // biome-ignore lint/suspicious/noApproximativeNumericConstant: what the model's config says
    ['DeepSeek-V2-Lite', 0.114721, yarn(40, 0.707)],
    ['DeepSeek-V3', 0.135234, yarn(40, 1)],
    ['Kimi-K2, 128K', 0.130861, yarn(32, 1)],
    ['Kimi-K2, 256K', 0.14468, yarn(64, 1)],
    ['LongCat', 0.072169, null],
  ])('of %s is %d', (_model, scale, rope_scaling) => {
    expect(softmaxScaleFromConfig({ ...dims, rope_scaling })).toBeCloseTo(scale, 6)
  })

  it('reads the config as Transformers 5 saves it', () => {
    const { type: rope_type, ...rest } = yarn(40, 1)
    const rope_parameters = { rope_type, ...rest }
    expect(softmaxScaleFromConfig({ ...dims, rope_parameters })).toBeCloseTo(0.135234, 6)
    expect(softmaxScaleFromConfig({ ...dims, rope_scaling: null, rope_parameters })).toBeCloseTo(0.135234, 6)
  })

  it.each<[string, object]>([
    ['no rope scaling', {}],
    ['the default kind', { rope_scaling: { rope_type: 'default' } }],
    ['yarn that does not stretch', { rope_scaling: yarn(1, 1) }],
    ['yarn without mscale_all_dim', { rope_scaling: { rope_type: 'yarn', factor: 40 } }],
  ])('is the plain scale with %s', (_what, config) => {
    expect(softmaxScaleFromConfig({ ...dims, ...config })).toBe(192 ** -0.5)
  })

  it.each<[string, object | null | undefined]>([
    ['config', null],
    ['config', undefined],
    ['config.qk_nope_head_dim', { qk_nope_head_dim: -1 }],
    ['config.qk_rope_head_dim', { qk_rope_head_dim: undefined }],
    ['config.qk_nope_head_dim', { qk_nope_head_dim: 0, qk_rope_head_dim: 0 }],
    ['config.rope_scaling.type', { rope_scaling: { type: 'longrope', factor: 4 } }],
    ['config.rope_scaling.type', { rope_scaling: 'yarn' }],
    ['config.rope_scaling.factor', { rope_scaling: { type: 'yarn' } }],
    ['config.rope_scaling.factor', { rope_scaling: yarn(-40, 1) }],
    ['config.rope_parameters.type', { rope_parameters: { rope_type: 'linear', factor: 4 } }],
    ['config.rope_scaling.mscale_all_dim', { rope_scaling: yarn(2, Number.NaN) }],
  ])('refuses %s of %o', (path, bad) => {
    expect(() => softmaxScaleFromConfig((bad && { ...dims, ...bad }) as never)).toThrow(
      coded('POLYMLA_INVALID_ARGUMENT', path),
    )
  })
})
