import type { Command } from './command.js'
import type { Style } from './style.js'

/** Environment variables that every command obeys. */
export const ENVIRONMENT = [
  ['POLYMLA_DEVICE', "replaces 'auto' wherever no device is named, e.g. reference or cuda:1"],
  ['POLYMLA_BACKENDS', 'comma-separated; only these backends are probed, and packages named here are loaded'],
  [
    'POLYMLA_VENDOR_PLUGIN',
    "libraries of vendors' devices, NAME=PATH with : between them, e.g. metax=/opt/…/libpolymla_metax.so",
  ],
  ['POLYMLA_CPU_THREADS', 'threads of the device cpu, 1 to 1024; as many as there are processors'],
  ['POLYMLA_CPU_PIN', '1 keeps each of them on a processor of its own'],
  ['POLYMLA_CPU_ISA', 'its instruction set, e.g. avx2; the best there is'],
  ['POLYMLA_DEBUG', '1 adds stack traces to errors'],
  ['NO_COLOR', 'any value turns colours off'],
] as const

/** `polymla --help`. */
export function overview(commands: readonly Command[], version: string, style: Style): string {
  return lines(
    `${style.bold('polymla')} ${version}: Multi-head Latent Attention decoding on whichever device is there`,
    '',
    heading('usage', style),
    '  polymla COMMAND [OPTIONS]',
    '  polymla help COMMAND',
    '',
    heading('commands', style),
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    heading('environment', style),
    ...columns(ENVIRONMENT),
    '',
    heading('exit codes', style),
    ...columns([
      ['0', 'done, and everything agreed'],
      ['1', 'a failure, which each command defines; or an error'],
      ['2', 'a wrong command line: unknown command, option or device, a file that cannot be read'],
      ['130', 'interrupted'],
    ]),
    '',
    'Results go to stdout; progress (on a terminal only), warnings and errors to stderr.',
  )
}

/** `polymla COMMAND --help`. */
export function commandHelp(command: Command, style: Style): string {
  const { name, operands, options, examples } = command
  const operand = operands ? ` ${operands.name}${operands.min > 0 ? '…' : ''}` : ''
  return lines(
    `${style.bold(`polymla ${name}`)}: ${command.summary}`,
    '',
    heading('usage', style),
    `  polymla ${name}${operand} [OPTIONS]`,
    '',
    command.about,
    '',
    heading('options', style),
    ...(operands ? columns([[operands.name, operands.help]]) : []),
    ...columns([...Object.entries(options).map(optionColumns), ['-h, --help', 'this text']]),
    '',
    heading('examples', style),
    ...examples.flatMap(([line, purpose]) => [`  ${style.dim(`# ${purpose}`)}`, `  polymla ${line}`]),
    '',
    heading('environment', style),
    ...columns(ENVIRONMENT),
    '',
    heading('exit codes', style),
    ...columns([
      ['0', 'done'],
      ['1', command.failure],
      ['2', 'wrong command line'],
    ]),
  )
}

function optionColumns([name, { value, help, fallback }]: [string, Command['options'][string]]): [
  string,
  string,
] {
  const shown = value !== null && fallback !== null ? ` (default: ${fallback})` : ''
  return [`--${name}${value === null ? '' : ` ${value}`}`, `${help}${shown}`]
}

const WIDTH = 110

/** Two columns, the second wrapped; a long left side stands on a line of its own. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(Math.max(...rows.map(([term]) => term.length)), 26)
  const indent = ' '.repeat(left + 4)
  return rows.flatMap(([term, meaning]) => {
    const wrapped = wrap(meaning, WIDTH - indent.length)
    const first =
      term.length > left ? [`  ${term}`, `${indent}${wrapped[0]}`] : [`  ${term.padEnd(left)}  ${wrapped[0]}`]
    return [...first, ...wrapped.slice(1).map((line) => `${indent}${line}`)]
  })
}

function wrap(text: string, width: number): string[] {
  const wrapped = ['']
  for (const word of text.split(' ')) {
    const line = wrapped[wrapped.length - 1]
    if (line !== '' && line.length + 1 + word.length > width) wrapped.push(word)
    else wrapped[wrapped.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return wrapped
}

const heading = (title: string, style: Style) => style.bold(title.toUpperCase())
const lines = (...all: readonly string[]) => `${all.join('\n')}\n`
