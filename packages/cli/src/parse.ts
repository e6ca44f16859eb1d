import { parseArgs } from 'node:util'
import type { Command } from './command.js'
import { usageError } from './errors.js'
import type { Options, Values } from './options.js'

export interface Parsed<O extends Options> {
  readonly help: boolean
  readonly options: Values<O>
  readonly operands: readonly string[]
}

/** Reads a command's arguments. Throws a usage error for the first thing that is wrong. */
export function parseCommand<O extends Options>(command: Command<O>, argv: readonly string[]): Parsed<O> {
  const { options } = command
  const types = Object.entries(options).map(([name, { value }]) => [
    name,
    { type: value === null ? ('boolean' as const) : ('string' as const) },
  ])
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...Object.fromEntries(types), help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(options).map(([name, { fallback }]) => [name, fallback]),
  )
  const operands: string[] = []
  let help = false
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    if (token.name === 'help') help = true
    else values[token.name] = readOption(command, token)
  }
  if (!help) checkOperands(command, operands)
  return { help, options: values as Values<O>, operands }
}

function readOption(
  { name: command, options }: Command,
  token: {
    readonly name: string
    readonly rawName: string
    readonly value?: string | undefined
    inlineValue?: boolean | undefined
  },
): unknown {
  const { name, rawName, value } = token
  if (!Object.hasOwn(options, name)) {
    const known = Object.keys(options).map((option) => `--${option}`)
    throw usageError(rawName, `an option of ${command}`, 'an unknown one', suggestion(`--${name}`, known))
  }
  const option = options[name]
  if (option.value === null) {
    if (value !== undefined) throw usageError(rawName, 'no value', JSON.stringify(value))
  } else if (value === undefined || (!token.inlineValue && value.startsWith('--'))) {
    throw usageError(rawName, `a value (${option.value})`, 'none')
  }
  return option.read(value ?? '', rawName)
}

function checkOperands({ name, operands }: Command, given: readonly string[]): void {
  if (!operands && given.length > 0) {
    throw usageError('OPERAND', `none, as ${name} takes only options`, JSON.stringify(given[0]))
  }
  if (operands && given.length < operands.min) {
    throw usageError(operands.name, operands.help, 'none', `Try 'polymla help ${name}'`)
  }
}

/** The nearest known word, as a sentence; else the list. */
export function suggestion(given: string, known: readonly string[]): string {
  const [nearest] = known
    .map((word) => ({ word, distance: editDistance(given, word) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)
  return nearest ? `Did you mean ${nearest.word}?` : `There are: ${known.join(', ')}`
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}
