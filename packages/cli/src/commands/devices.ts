import { defineCommand } from '../command.js'
import { EXIT } from '../errors.js'
import { bytes } from '../format.js'
import { toggle } from '../options.js'
import { explainAuto, type ListedDevice } from '../selection.js'
import type { Style } from '../style.js'
import { table } from '../table.js'

export const devices = defineCommand({
  name: 'devices',
  summary: 'list every device, usable or not, and say which one auto takes',
  about: [
    'Lists what every installed backend finds, best first. A device that cannot be used is listed too, with the',
    "reason and what to do about it. '*' marks the device that auto takes when a program names none.",
  ].join('\n'),
  options: {
    json: toggle('print an array of devices, each with auto.chosen and auto.why, and nothing else'),
  },
  examples: [
    ['devices', 'what is there, and what is wrong with the rest'],
    ['devices --json', 'the same for a program'],
    ['devices', 'after POLYMLA_BACKENDS=reference: without probing any hardware'],
  ],
  failure: 'no device can be used',
  async run({ io, style, print, printJson, runtime }, { json }) {
    const listed = await explainAuto(runtime({ quiet: true }), io.env)
    if (json) printJson(listed)
    else print(listed.length > 0 ? deviceTable(listed, style) : 'no backend is installed')
    return listed.some(({ available }) => available) ? EXIT.ok : EXIT.failed
  },
})

/** A row per device, its reasons below the table. */
export function deviceTable(listed: readonly ListedDevice[], style: Style): string {
  const rows = listed.map((info) => [
    info.auto.chosen ? style.green('*') : '',
    info.auto.chosen ? style.green(info.id) : info.id,
    info.name,
    info.arch,
    info.memoryBytes === undefined ? '' : bytes(info.memoryBytes),
    String(info.score),
    info.available ? 'usable' : style.red('unusable'),
  ])
  const columns = [
    { title: '' },
    { title: 'id' },
    { title: 'name' },
    { title: 'arch' },
    { title: 'memory', align: 'right' as const },
    { title: 'score', align: 'right' as const },
    { title: '' },
  ]
  return [table(columns, rows, style), '', ...listed.map((info) => deviceReason(info, style))].join('\n')
}

function deviceReason(info: ListedDevice, style: Style): string {
  if (info.auto.chosen) return `auto takes ${style.green(info.id)}: ${info.auto.why}`
  if (info.available) return `auto passes over ${info.id}: ${info.auto.why}`
  const { code, message, fix } = info.reason
  return `${info.id} cannot be used: ${message} (${code})\n  ${style.bold('fix')} ${fix}`
}
