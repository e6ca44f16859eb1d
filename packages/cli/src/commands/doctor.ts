import { availableParallelism, totalmem } from 'node:os'
import { type Context, defineCommand } from '../command.js'
import { findPackages } from '../doctor/packages.js'
import { type SelfCheck, selfCheck } from '../doctor/self-check.js'
import { findTools } from '../doctor/toolchain.js'
import { EXIT } from '../errors.js'
import { bytes, duration } from '../format.js'
import { ENVIRONMENT } from '../help.js'
import { toggle } from '../options.js'
import { startProgress } from '../progress.js'
import { explainAuto, type ListedDevice } from '../selection.js'
import { version } from '../version.js'
import { deviceTable } from './devices.js'

type CheckedDevice = ListedDevice & { readonly check: SelfCheck | null }

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'check this installation and every device in it',
  about: [
    'Reports the runtime, the installed packages, the environment variables in effect and the build tools on PATH',
    '(looked up, not run). Opens every usable device, checks a few cases against float64, and that its memory is',
    'free again afterwards. What is wrong comes with what to do about it.',
  ].join('\n'),
  options: { json: toggle('print the findings and nothing else') },
  examples: [
    ['doctor', 'is everything as it should be?'],
    ['doctor --json', 'for a bug report'],
  ],
  failure: 'no device is usable',
  async run(context, { json }) {
    const { io, print, printJson } = context
    const findings = {
      polymla: version(),
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cpus: availableParallelism(),
      memoryBytes: totalmem(),
      packages: findPackages(),
      environment: Object.fromEntries(ENVIRONMENT.map(([name]) => [name, io.env[name] ?? null])),
      tools: findTools(io.env),
      devices: await checkDevices(context),
    }
    if (json) printJson(findings)
    else print(described(findings, context))
    return findings.devices.some(({ check }) => check?.passed) ? EXIT.ok : EXIT.failed
  },
})

async function checkDevices({ io, runtime: makeRuntime }: Context): Promise<CheckedDevice[]> {
  const runtime = makeRuntime({ quiet: true })
  const listed = await explainAuto(runtime, io.env)
  const progress = startProgress(io)
  try {
    const checked: CheckedDevice[] = []
    for (const info of listed) {
      const onProgress = (name: string, done: number, total: number) =>
        progress.at(done, total, `${info.id} ${name}`)
      const check = info.available
        ? await selfCheck(runtime, info.id, { signal: io.signal, onProgress })
        : null
      checked.push({ ...info, check })
    }
    return checked
  } finally {
    progress.stop()
  }
}

interface Findings {
  readonly polymla: string
  readonly node: string
  readonly platform: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly packages: ReturnType<typeof findPackages>
  readonly environment: Readonly<Record<string, string | null>>
  readonly tools: ReturnType<typeof findTools>
  readonly devices: readonly CheckedDevice[]
}

function described(found: Findings, { style }: Context): string {
  const section = (title: string, lines: readonly string[]) => [
    style.bold(title),
    ...lines.map((line) => `  ${line}`),
    '',
  ]
  const good = style.green('ok')
  const bad = style.red('failed')
  return [
    ...section('runtime', [
      `polymla ${found.polymla}, Node ${found.node}, ${found.platform}`,
      `${found.cpus} processors, ${bytes(found.memoryBytes)} of memory`,
    ]),
    ...section(
      'packages',
      found.packages.length > 0
        ? found.packages.map(({ name, version: own }) => `${name} ${own ?? style.dim('not installed')}`)
        : ['part of a bundle'],
    ),
    ...section(
      'environment',
      Object.entries(found.environment).map(([name, value]) => `${name} ${value ?? style.dim('not set')}`),
    ),
    ...section(
      'build tools',
      found.tools.map(({ name, path }) => `${name} ${path ?? style.dim('not on PATH')}`),
    ),
    style.bold('devices'),
    deviceTable(found.devices, style),
    '',
    ...found.devices.flatMap(({ id, check }) => {
      if (!check) return []
      const { cases, milliseconds, message } = check
      const took = `${cases} cases in ${duration(milliseconds * 1e3)}`
      return [
        message === null ? `${good} ${id}: ${took}, memory free again` : `${bad} ${id}: ${message} (${took})`,
      ]
    }),
  ].join('\n')
}
