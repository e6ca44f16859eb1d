#!/usr/bin/env node
import { invalidArgument, inWords } from '@polymla/core'
import { main } from './cli.js'
import { EXIT, printError } from './errors.js'

// A reader that leaves early, such as `head`, ends the command as it would any other: by SIGPIPE's exit code.
const SIGPIPE_EXIT = 141
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(SIGPIPE_EXIT)
    if (output === process.stdout) {
      printError(process, invalidArgument('stdout', 'a place that takes output', inWords(error.message)))
    }
    process.exit(EXIT.failed)
  })
}

/** Milliseconds between looks whether anything but a device's work is left after the command. */
const LINGER = 5000

// The first Ctrl-C winds down, so that devices are left clean; a second one ends the process at once.
const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort())

const { stdout, stderr, env } = process
process.exitCode = await main(process.argv.slice(2), { stdout, stderr, env, signal: interrupt.signal })
// Work that a device never finishes must not keep the process, but a slow reader may; the timer itself does neither.
setInterval(() => {
  if (stdout.writableLength === 0 && stderr.writableLength === 0) process.exit()
}, LINGER).unref()
