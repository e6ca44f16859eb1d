import { type Context, defineCommand } from '../command.js'
import { EXIT } from '../errors.js'
import { goldenTable } from '../golden-table.js'
import { text, toggle } from '../options.js'
import { openDevice } from '../selection.js'
import { allAgree, type FileReport, readFiles, verifyFiles } from '../verify-files.js'

export const verify = defineCommand({
  name: 'verify',
  summary: "run recorded inputs and compare with FlashMLA's own results and with float64",
  about: [
    'Runs every case of golden files: safetensors, gzipped or not, with tensors <case>.<tensor> and a cases metadata',
    'of JSON. A case is a dense decode (q, kv, block_table, seqlens), a sparse decode (q, kv_bytes, indices) or a',
    'sparse prefill (q, kv, indices), with results out_ref, lse_ref (float64) and out_flashmla, lse_flashmla.',
    'The errors of out are relative 2-norms, that of lse is the largest absolute one.',
    '',
    "An element of out agrees with FlashMLA's within the bounds of FlashMLA's own tests. Where even the rounded float64",
    'result is out of them, because FlashMLA is, its distance is allowed on top.',
  ].join('\n'),
  operands: { name: 'FILE', help: 'a golden file (.safetensors or .safetensors.gz)', min: 1 },
  options: {
    device: text('ID', "device to verify, or 'auto'", 'auto'),
    json: toggle('print the reports and nothing else'),
  },
  examples: [
    [
      'verify dense.safetensors.gz sparse.safetensors.gz --device cuda:0',
      'does this device agree with FlashMLA?',
    ],
    ['verify dense.safetensors.gz --json', 'for a program: every comparison with its worst element'],
  ],
  failure: 'a case missed, or the device refused it',
  async run(context, { device: id, json }, operands) {
    const files = await readFiles(operands)
    await using device = await openDevice(context.runtime(), id, context.io.env)
    const verified = await verifyFiles(context.io, device, files)
    if (json) context.printJson(verified)
    else printVerified(context, verified)
    return allAgree(verified) ? EXIT.ok : EXIT.failed
  },
})

/** The cases of every file and how many agreed. */
export function printVerified({ print, style }: Context, verified: readonly FileReport[]): void {
  for (const { file, device, cases, passed, failed, skipped } of verified) {
    print(`${style.bold(file)} on ${device.id} (${device.name})`)
    print(goldenTable(cases, style))
    const counts = [`${passed} agree`, `${failed} disagree`, `${skipped} skipped`].join(', ')
    print(failed + skipped === 0 ? style.green(counts) : style.red(counts))
    print()
  }
}
