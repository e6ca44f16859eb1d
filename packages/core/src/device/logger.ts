/** Receives what the library has to say outside of results and errors. */
export type Logger = (level: 'info' | 'warn', message: string) => void

export const consoleLogger: Logger = (level, message) => {
  if (level === 'warn') console.warn(`polymla: ${message}`)
}
