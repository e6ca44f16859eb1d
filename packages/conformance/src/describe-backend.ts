import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { casesOf, type GridName } from './grids/grids.js'
import { matches } from './run-conformance.js'
import { Session, type SessionOptions, type Target } from './session.js'

export interface DescribeOptions extends SessionOptions {
  /** Default `smoke`. */
  readonly grid?: GridName
  readonly filter?: string | RegExp
}

/** Declares one test per case of a grid; what the device refuses, with a reason, is skipped. */
export function describeBackend(target: Target, options: DescribeOptions = {}): void {
  const { grid = 'smoke', filter } = options
  describe(`conformance, ${grid}`, () => {
    let session: Session
    beforeAll(async () => {
      session = await Session.open(target, options)
    })
    afterAll(() => session?.close())

    for (const testCase of casesOf(grid).filter(({ name }) => matches(name, filter))) {
      // The session itself limits the time of a case, and says so better.
      test(testCase.name, { timeout: 0 }, async ({ skip }) => {
        const { status, message } = await session.run(testCase)
        if (status === 'skipped') skip(message ?? undefined)
        expect(message).toBeNull()
      })
    }
  })
}
