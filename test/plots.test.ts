import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { plots } from '../bench/plots.mjs'
import { ROOT } from './markdown.js'

const folder = join(ROOT, 'bench/plots')

it('plots are those of the newest figures (else: node bench/plots.mjs --write)', () => {
  const made: Record<string, string> = plots()
  expect(readdirSync(folder).toSorted()).toEqual(Object.keys(made).toSorted())
  for (const [name, svg] of Object.entries(made)) expect(readFileSync(join(folder, name), 'utf8')).toBe(svg)
})

it('plots name every group and anchor, and have no number that is none', () => {
  for (const svg of Object.values<string>(plots())) expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  expect(plots()['h200-ratios.svg'].match(/<circle/g)).toHaveLength(2 * 64 + 2)
  expect(plots()['h200-roofline.svg'].match(/<circle/g)).toHaveLength(64 + 3)
})
