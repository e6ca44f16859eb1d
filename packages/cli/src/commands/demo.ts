import { basename } from 'node:path'
import { defineCommand } from '../command.js'
import { EXIT } from '../errors.js'
import { fixtures } from '../files.js'
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
    'and sparse, and compares the results with FlashMLA’s and with float64.',
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
    return agree ? EXIT.ok : EXIT.failed
  },
})
