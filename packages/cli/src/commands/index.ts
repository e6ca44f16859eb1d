import type { Command } from '../command.js'
import { bench } from './bench.js'
import { conformance } from './conformance.js'
import { createPortCommand } from './create-port.js'
import { decode } from './decode.js'
import { demo } from './demo.js'
import { devices } from './devices.js'
import { doctor } from './doctor.js'
import { verify } from './verify.js'

/** Every command, in the order of help. */
export const COMMANDS = [
  devices,
  doctor,
  demo,
  decode,
  verify,
  bench,
  conformance,
  createPortCommand,
] as unknown as readonly Command[]
