import reference from '@polymla/backend-reference'
import { createRuntime } from '@polymla/core'
import { expect, test } from 'vitest'
import { measureCalls } from './calls.js'

test('times calls on the host and a step on the device, and leaves nothing behind', async () => {
  await using device = await createRuntime({ backends: [reference()] }).selectDevice('reference')
  const limits = { rounds: 2, warmUp: 1, calls: 3, layers: 2, steps: [[1, 64, 4]] as const }
  const rows = await measureCalls(device, new AbortController().signal, limits)
  expect(rows.map(({ kind }) => kind)).toEqual([
    ...['host.plan_run', 'host.plan_update', 'host.graph_replay'],
    'step.graph',
  ])
  expect(rows[3]).toMatchObject({ b: 1, s_k: 64, h_q: 4, layers: 2 })
  for (const { us, us_min, us_max } of rows) {
    expect(us_min).toBeGreaterThan(0)
    expect(us).toBeGreaterThanOrEqual(us_min)
    expect(us_max).toBeGreaterThanOrEqual(us)
  }
  expect(device.memory().liveBytes).toBe(0)
})
