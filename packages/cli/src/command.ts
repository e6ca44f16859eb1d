import type { Runtime } from '@polymla/core'
import type { Io } from './io.js'
import type { Options, Values } from './options.js'
import type { Style } from './style.js'

/** A command, declared: parsing and help follow from this. */
export interface Command<O extends Options = Options> {
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  /** What it does, in paragraphs. */
  readonly about: string
  /** Absent: the command takes none. */
  readonly operands?: { readonly name: string; readonly help: string; readonly min: number }
  readonly options: O
  /** Command lines without the leading `polymla`, and what each is for. */
  readonly examples: readonly (readonly [line: string, purpose: string])[]
  /** Meaning of exit code 1. */
  readonly failure: string
  /** Resolves to the exit code. */
  run(context: Context, options: Values<O>, operands: readonly string[]): Promise<number>
}

/** What a command works with. */
export interface Context {
  readonly io: Io
  /** Colours for stdout. */
  readonly style: Style
  /** Without its warnings when `quiet`. */
  runtime(options?: { quiet?: boolean }): Runtime
  /** Writes a line of results. */
  print(line?: string): void
  /** Writes JSON, which is then all that stdout gets. */
  printJson(value: unknown): void
}

/** Types a command from its own options. */
export function defineCommand<O extends Options>(command: Command<O>): Command<O> {
  return command
}
