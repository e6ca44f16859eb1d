import { basename } from 'node:path'
import type { Device } from '@polymla/core'
import { product } from '../bench/grids.js'
import { measure } from '../bench/measure.js'
import { peaksLine } from '../bench/report.js'
import { caseLabel } from '../bench/rows.js'
import { type Context, defineCommand } from '../command.js'
import { EXIT } from '../errors.js'
import { fixtures } from '../files.js'
import { duration } from '../format.js'
import { text } from '../options.js'
import { explainAuto, openDevice, whyChosen } from '../selection.js'
import { allAgree, readFiles, verifyFiles } from '../verify-files.js'
import { deviceTable } from './devices.js'
import { printVerified } from './verify.js'

export const demo = defineCommand({
  name: 'demo',
  summary: "choose a device and decode FlashMLA's own inputs on it",
  about: [
    'Lists the devices, says which one it takes and why, then decodes inputs that were recorded with FlashMLA, dense',
    'and sparse, and compares the results with FlashMLA’s and with float64. A device that can measure its peaks is',
    'timed too, against them.',
  ].join('\n'),
  options: { device: text('ID', "device to use, or 'auto'", 'auto') },
  examples: [
    ['demo', 'on the best device there is'],
    ['demo --device reference', 'on the exact one'],
  ],
  failure: 'a result disagrees',
  async run(context, { device: id }) {
    const { io, style, print } = context
    const runtime = context.runtime({ quiet: true })
    print(deviceTable(await explainAuto(runtime, io.env), style))
    await using device = await openDevice(runtime, id, io.env)
    const why = id === 'auto' ? whyChosen(io.env) : 'it was asked for'
    print(`\nchose ${style.green(device.id)}: ${why}\n`)
    const verified = await verifyFiles(io, device, await readFiles(fixtures()))
    printVerified(
      context,
      verified.map((found) => ({ ...found, file: basename(found.file) })),
    )
    const agree = allAgree(verified)
    print(agree ? style.green('all results agree') : style.red('results disagree'))
    await printSpeed(context, device)
    return agree ? EXIT.ok : EXIT.failed
  },
})

/** How near the device comes to its own peaks on one long request, for the head counts of one rank and of all. */
async function printSpeed({ io, print }: Context, device: Device): Promise<void> {
  const peaks = await device.measurePeaks()
  if (!peaks) return
  print(`\n${peaksLine(peaks)}`)
  for (const row of product([1], [1], [4096], [16, 128], 'dense.bf16')) {
    const options = { warmup: 2, runs: 10, seed: 0, flush: null, peaks, signal: io.signal }
    const { us, of_peak = 0, bound } = await measure(device, row, options)
    const share = `${Math.round(of_peak * 100)}% of the ${bound === 'memory' ? 'reading' : 'arithmetic'} peak`
    print(`${caseLabel(row)}: ${duration(us)}, ${share}`)
  }
}
