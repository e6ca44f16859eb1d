import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { readSafetensors } from './index.js'

const fixture = (name: string) =>
  readFileSync(new URL(`../../fixtures/${name}.safetensors.gz`, import.meta.url))

it('the fixtures hold every case of the golden files, attributed, in 4 MB', () => {
  const files = ['dense', 'sparse'].map((name) => readSafetensors(fixture(name)))
  const cases = files.map(({ metadata }) => Object.keys(JSON.parse(metadata.get('cases')!)))
  expect(cases).toEqual([
    ['bf16_h16_mtp', 'bf16_h128', 'fp16_h64', 'bf16_h7_odd', 'fp8_h64', 'fp8_h16_mtp'],
    ['v32_h64', 'v32_h128_blk2', 'model1_extra', 'prefill_d576', 'prefill_d512'],
  ])
  for (const [i, { tensors, metadata }] of files.entries()) {
    for (const name of cases[i])
      expect(tensors.get(`${name}.out_flashmla`)!.data.some((byte) => byte !== 0)).toBe(true)
    expect(metadata.get('attribution')).toMatch(/FlashMLA 9241ae3.*46d64a8.*MIT License/)
  }
  expect(fixture('dense').length + fixture('sparse').length).toBeLessThanOrEqual(4_000_000)
})
