/** Work did not finish in the time it had. */
export class TimeLimit extends Error {
  override readonly name = 'TimeLimit'
}

/** What a timer can wait; one for longer fires at once. */
const LONGEST = 2 ** 31 - 1

/**
 * What `work` resolves to. Rejects with {@link TimeLimit} after that many milliseconds, or with the signal's reason: the
 * wait is given up, the work may go on. The timer keeps the process alive, which an event that never completes does not.
 */
export async function within<T>(milliseconds: number, work: Promise<T>, signal?: AbortSignal): Promise<T> {
  // Nobody listens any more when work that was given up fails after all.
  work.catch(() => {})
  signal?.throwIfAborted()
  let stop = () => {}
  const givenUp = new Promise<never>((_, reject) => {
    const abort = () => reject(signal?.reason)
    const timer = setTimeout(
      () => reject(new TimeLimit(`it did not finish within ${milliseconds / 1000} s`)),
      Math.min(milliseconds, LONGEST),
    )
    signal?.addEventListener('abort', abort)
    stop = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  })
  try {
    return await Promise.race([work, givenUp])
  } finally {
    stop()
  }
}
