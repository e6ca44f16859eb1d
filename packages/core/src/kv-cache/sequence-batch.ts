import type { Sequence } from './sequence.js'

/** A set of sequences as a plan takes it: `plan.update({ seqlens, blockTable, stale })`. */
export interface SequenceBatch {
  /** [rows] tokens of each sequence; 0 in padding rows. */
  readonly seqlens: Int32Array
  /** Flat [rows, width]: page ids of each sequence; 0 past its pages. */
  readonly blockTable: Int32Array
  /** Pages of the longest sequence. */
  readonly width: number
  /** Why this is no longer the state of the sequences, e.g. after an append or a defragmentation; null while it is. */
  readonly stale: () => string | null
}

/** Takes the state of live sequences as it is now; `rows` ≥ their number. */
export function sequenceBatch(sequences: readonly Sequence[], rows: number): SequenceBatch {
  const width = sequences.reduce((most, sequence) => Math.max(most, sequence.pages.length), 0)
  const seqlens = new Int32Array(rows)
  const blockTable = new Int32Array(rows * width)
  for (const [row, sequence] of sequences.entries()) {
    seqlens[row] = sequence.length
    blockTable.set(sequence.pages, row * width)
  }
  const seen = sequences.map((sequence) => ({ sequence, length: sequence.length, version: sequence.version }))
  const stale = () => {
    const moved = seen.findIndex(({ sequence, version }) => sequence.version !== version)
    if (moved < 0) return null
    const { sequence, length: before } = seen[moved]
    const { disposed, length } = sequence
    if (disposed) return `sequence ${moved} was freed`
    if (length !== before) return `sequence ${moved} went from length ${before} to ${length}`
    return `tokens or pages of sequence ${moved} changed`
  }
  return { seqlens, blockTable, width, stale }
}
