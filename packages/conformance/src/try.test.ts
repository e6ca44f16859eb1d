import { reference } from '@polymla/backend-reference'
import { test } from 'vitest'
import { runConformance } from '/work/main/packages/conformance/src/run-conformance.js'

test('try', async () => {
  const r = await runConformance({ backend: reference(), grid: 'smoke' })
  for (const c of r.cases)
    console.log(
      c.status,
      c.name,
      Math.round(c.milliseconds),
      c.message ?? '',
      c.comparisons
        .map(
          (x) =>
            `${x.tensor}: ${x.elements} ${x.maxAbsolute.toExponential(1)} ${x.relativeNorm.toExponential(1)}`,
        )
        .join('; '),
    )
  console.log(r.milliseconds)
}, 600000)
