import { SingleBar } from 'cli-progress'
import type { Io } from './io.js'

export interface Progress {
  /** Says how much is done and what is being done now. */
  at(done: number, total: number, label?: string): void
  /** Takes the bar away. */
  stop(): void
}

const SILENT: Progress = { at() {}, stop() {} }

/** A bar on stderr where that is a terminal; nothing where it is not. */
export function startProgress({ stderr }: Io): Progress {
  if (!stderr.isTTY) return SILENT
  const bar = new SingleBar({
    stream: stderr,
    format: '{bar} {value}/{total} {label}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
  })
  let total = 0
  return {
    at(done, of, label = '') {
      if (total === 0) bar.start(of, done, { label })
      else if (of !== total) bar.setTotal(of)
      total = of
      bar.update(done, { label })
    },
    stop: () => bar.stop(),
  }
}
