/** A stream the CLI writes to. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean }

/** What a run of the CLI sees of the process around it. */
export interface Io {
  /** Results, and nothing else. */
  readonly stdout: Output
  /** Errors, warnings and progress. */
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal
}
