import cpu from '@polymla/backend-cpu'
import reference from '@polymla/backend-reference'
import { vendorBackends } from '@polymla/backend-vendor'
import { createRuntime, type Runtime, type RuntimeOptions } from '@polymla/core'
import type { Command, Context } from './command.js'
import { COMMANDS } from './commands/index.js'
import { EXIT, exitCodeOf, printError, usageError } from './errors.js'
import { commandHelp, overview } from './help.js'
import type { Io } from './io.js'
import { parseCommand, suggestion } from './parse.js'
import { styleOf } from './style.js'
import { version } from './version.js'

/** Makes the runtime of a run; `env` and `logger` are given. */
export type MakeRuntime = (options: RuntimeOptions) => Runtime

/** These come with the CLI, also in a bundle that has no packages to discover; others are found where installed. */
const firstParty: MakeRuntime = (options) => {
  const vendors = vendorBackends(options.env ? { env: options.env } : {})
  const backends = [cpu(), reference(), ...vendors.filter(({ onRequest }) => !onRequest)]
  return createRuntime({ ...options, backends, discover: true })
}

/**
 * Runs one command line, without the leading `node` and script. Never throws: errors go to `io.stderr`, and the exit
 * code says what kind they are.
 */
export async function main(
  argv: readonly string[],
  io: Io,
  makeRuntime: MakeRuntime = firstParty,
): Promise<number> {
  try {
    return await dispatch(argv, io, makeRuntime)
  } catch (error) {
    if (io.signal.aborted) return EXIT.interrupted
    printError(io, error)
    return exitCodeOf(error)
  }
}

async function dispatch(
  [name, ...rest]: readonly string[],
  io: Io,
  makeRuntime: MakeRuntime,
): Promise<number> {
  const style = styleOf(io.stdout, io.env)
  const showHelp = (command: Command | null) => {
    io.stdout.write(command ? commandHelp(command, style) : overview(COMMANDS, version(), style))
    return EXIT.ok
  }
  switch (name) {
    case undefined:
    case '--help':
    case '-h':
      return showHelp(null)
    case 'help':
      return showHelp(rest.length > 0 ? findCommand(rest[0]) : null)
    case '--version':
      io.stdout.write(`${version()}\n`)
      return EXIT.ok
  }
  const command = findCommand(name)
  const { help, options, operands } = parseCommand(command, rest)
  return help ? showHelp(command) : command.run(contextOf(io, makeRuntime), options, operands)
}

function findCommand(name: string): Command {
  const command = COMMANDS.find((known) => known.name === name)
  if (command) return command
  const names = COMMANDS.map((known) => known.name)
  throw usageError('COMMAND', 'a command', JSON.stringify(name), suggestion(name, names))
}

function contextOf(io: Io, makeRuntime: MakeRuntime): Context {
  const warning = styleOf(io.stderr, io.env).yellow('warning')
  return {
    io,
    style: styleOf(io.stdout, io.env),
    runtime: ({ quiet = false } = {}) =>
      makeRuntime({
        env: io.env,
        logger: (level, message) => {
          if (level === 'warn' && !quiet) io.stderr.write(`${warning} ${message}\n`)
        },
      }),
    print: (line = '') => io.stdout.write(`${line}\n`),
    printJson: (value) => io.stdout.write(`${JSON.stringify(value, null, 2)}\n`),
  }
}
