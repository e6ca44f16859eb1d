import { Writable } from 'node:stream'
import reference from '@polymla/backend-reference'
import type { Backend } from '@polymla/core'
import { createRuntime } from '@polymla/core'
import { type MakeRuntime, main } from './cli.js'
import type { Io, Output } from './io.js'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Whether stdout and stderr are terminals. */
  readonly terminal?: boolean
  /** By default the reference alone: results do not depend on what the machine has. */
  readonly backends?: readonly Backend[]
  readonly signal?: AbortSignal
}

/** Runs a command line in this process and returns what it wrote. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, terminal = false, signal = new AbortController().signal } = options
  const { backends = [reference()] } = options
  const stdout = new Recorder(terminal)
  const stderr = new Recorder(terminal)
  const io: Io = { stdout, stderr, env, signal }
  const makeRuntime: MakeRuntime = (given) => createRuntime({ ...given, backends, discover: false })
  const code = await main(argv, io, makeRuntime)
  return { code, stdout: stdout.text, stderr: stderr.text }
}

/** The reference, claiming peaks that it did not measure. */
export const measured: Backend = {
  ...reference(),
  async open(info) {
    const device = await reference().open(info)
    const peaks = {
      readBytesPerSecond: 1e6,
      f32FlopsPerSecond: 1e9,
      bf16FlopsPerSecond: 1e9,
      f16FlopsPerSecond: 0,
    }
    return Object.assign(device, { measurePeaks: async () => peaks })
  },
}

class Recorder extends Writable implements Output {
  text = ''
  readonly isTTY: boolean

  constructor(isTTY: boolean) {
    super({ decodeStrings: false })
    this.isTTY = isTTY
  }

  override _write(chunk: string | Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}
