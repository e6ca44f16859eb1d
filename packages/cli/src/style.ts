import picocolors from 'picocolors'
import type { Io, Output } from './io.js'

export type Style = ReturnType<typeof picocolors.createColors>

/** Colours for a terminal that wants them (https://no-color.org); plain text for everything else. */
export function styleOf(output: Output, env: Io['env']): Style {
  return picocolors.createColors(output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb')
}
