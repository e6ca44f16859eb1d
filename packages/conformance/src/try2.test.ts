import { readFileSync } from 'node:fs'
import { reference } from '@polymla/backend-reference'
import { createRuntime } from '@polymla/core'
import { test } from 'vitest'
import { verifyFile } from './golden/verify.js'

test('try', async () => {
  const device = await createRuntime({ backends: [reference()] }).selectDevice()
  for (const f of ['dense', 'sparse']) {
    const r = await verifyFile(device, `/work/shared/golden/flashmla_${f}.safetensors.gz`)
    for (const c of r.cases)
      console.log(
        c.status,
        c.name,
        c.message,
        Math.round(c.microseconds!),
        c.gigabytesPerSecond,
        c.teraflopsPerSecond,
        [...c.float64, ...c.flashMla]
          .map(
            (x) =>
              `${x.tensor}: ${x.elements} ${x.maxAbsolute.toExponential(1)} ${x.relativeNorm.toExponential(1)}`,
          )
          .join('; '),
      )
  }
  await device.dispose()
}, 600000)
