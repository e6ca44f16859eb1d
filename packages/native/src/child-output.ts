import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** Characters that are kept of what a process writes. */
const MAX_TEXT = 1 << 20
/** How long what an ended process wrote may take to arrive. */
const DRAIN_MS = 1000

/** Collects what a process writes on one of its pipes: the first or the last of it. */
export function collect(from: ChildProcess['stdio'][number], kept: 'first' | 'last'): () => string {
  let text = ''
  const pipe = from as Readable | null | undefined
  pipe?.setEncoding('utf8')
  pipe?.on('data', (chunk: string) => {
    text += chunk
    if (text.length > MAX_TEXT) text = kept === 'first' ? text.slice(0, MAX_TEXT) : text.slice(-MAX_TEXT)
  })
  pipe?.on('error', () => {})
  return () => text
}

/**
 * Waits until what an ended process wrote has arrived, but not long: what it left running may hold its pipes open for
 * good. To be called before the process ends, the result after.
 */
export function drainAfterExit(child: ChildProcess): () => Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve))
  return async () => {
    await Promise.race([closed, sleep(DRAIN_MS, undefined, { ref: false })])
    for (const pipe of child.stdio) pipe?.destroy()
  }
}

/** The last line of what a process wrote, short enough for a message; empty where it wrote nothing. */
export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
}
