import { reference } from '@polymla/backend-reference'
import { describe, expect, test } from 'vitest'
import { casesOf } from '../grids/grids.js'
import { Session } from '../session.js'
import { FAULTS, type FaultName } from './faults/all.js'
import { faultyBackend } from './faulty-backend.js'

const smoke = new Map(casesOf('smoke').map((one) => [one.name, one]))

async function outcome(fault: FaultName | null, name: string) {
  const testCase = smoke.get(name)
  if (!testCase) throw new Error(`no case ${name}`)
  const session = await Session.open(faultyBackend(reference(), fault))
  try {
    return await session.run(testCase)
  } finally {
    await session.close()
  }
}

describe('every injected bug is reported by the case meant for it', () => {
  for (const fault of Object.keys(FAULTS) as FaultName[]) {
    const { caughtBy } = FAULTS[fault]
    test(`${fault}: ${caughtBy}`, async () => {
      const { status, message } = await outcome(fault, caughtBy)
      expect(status, message ?? '').toBe('failed')
      // The bug is what failed, not its injection.
      expect(message).not.toMatch(/TypeError|RangeError|INTERNAL/)
    })
  }
})

describe('without a bug, the same wrapper passes the same cases', () => {
  for (const name of new Set(Object.values(FAULTS).map(({ caughtBy }) => caughtBy))) {
    test(name, async () => {
      const { status, message } = await outcome(null, name)
      expect(status, message ?? '').toBe('passed')
    })
  }
})
