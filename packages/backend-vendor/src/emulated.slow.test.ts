import { runConformanceOnAll } from '@polymla/conformance'
import { expect, test } from 'vitest'
import { emulated } from './backends.js'

const WIDTHS = ['wave32', 'wave64', 'wave128']

const isUsable = await emulated()
  .probe()
  .then(
    (devices) => devices.some((device) => device.available),
    () => false,
  )

test.skipIf(!isUsable)(
  'the kernels pass conformance on waves of any width, with equal results',
  { timeout: 1_200_000 },
  async () => {
    const reports = await runConformanceOnAll({
      targets: WIDTHS.map((width) => ({ backend: emulated(), device: `emu:${width}` })),
      grid: 'standard',
      timeout: 600_000,
    })
    const found = reports.map(({ cases }) =>
      cases.map(({ name, status, message, comparisons }) => ({ name, status, message, comparisons })),
    )
    for (const cases of found) expect(cases.filter(({ status }) => status !== 'passed')).toEqual([])
    // Comparisons hold errors of all elements to the last bit.
    expect(found[1]).toEqual(found[0])
    expect(found[2]).toEqual(found[0])
  },
)
