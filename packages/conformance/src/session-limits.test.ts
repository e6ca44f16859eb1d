import { reference } from '@polymla/backend-reference'
import type { Backend, BackendDevice, BackendEvent } from '@polymla/core'
import { describe, expect, test } from 'vitest'
import type { Case } from './cases/case.js'
import { casesOf } from './grids/grids.js'
import { Session, type SessionOptions } from './session.js'

/** The reference with something wrong about every device it opens. */
function broken(spoil: (device: BackendDevice, opened: number) => void): Backend {
  const inner = reference()
  let opened = 0
  return {
    ...inner,
    async open(info) {
      const device = await inner.open(info)
      spoil(device, ++opened)
      return device
    },
  }
}

/** All events of a device are replaced. */
const withEvents = (event: Partial<BackendEvent>) =>
  broken((device) => {
    const createStream = device.createStream.bind(device)
    device.createStream = () => {
      const stream = createStream()
      const record = stream.record.bind(stream)
      stream.record = () => Object.assign(record(), event)
      return stream
    }
  })

const smoke = new Map(casesOf('smoke').map((one) => [one.name, one]))
const dense = smoke.get('dense/bf16/b2-s1-k140-h16-kv1-varlen') as Case
const plainCase = (run: Case['run']): Case => ({ name: 'plain', problem: () => null, run })

async function outcomes(backend: Backend, cases: readonly Case[], options?: SessionOptions) {
  const session = await Session.open(backend, options)
  try {
    const reports = []
    for (const one of cases) reports.push(await session.run(one))
    return reports
  } finally {
    await session.close()
  }
}

describe('a device that hangs', () => {
  const hanging = withEvents({ query: () => false, done: () => new Promise(() => {}) })

  test('fails each case in the time it has, and is given up in the end', async () => {
    const reports = await outcomes(hanging, Array(5).fill(dense), { timeout: 300 })
    expect(reports.every(({ status }) => status === 'failed')).toBe(true)
    expect(reports.map(({ message }) => message)).toEqual([
      ...Array(3).fill('it did not finish within 0.3 s'),
      ...Array(2).fill('not run: the device hung in cases before this one'),
    ])
  })

  test('can be interrupted', async () => {
    const controller = new AbortController()
    const running = outcomes(hanging, [dense], { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 30)
    await expect(running).rejects.toThrow('enough')
  })
})

test('a device whose work fails fails every case, whoever waits for it', async () => {
  const cases = [...smoke.values()].filter(({ name }) => /plans|graphs\/up|streams/.test(name))
  const failing = withEvents({ done: () => Promise.reject(new Error('lost')) })
  for (const { status, message } of await outcomes(failing, cases)) {
    expect(status).toBe('failed')
    expect(message).toContain('lost')
  }
})

test.each([
  ['a string', 'oops', 'thrown, though no error: oops'],
  ['nothing', undefined, 'thrown, though no error: undefined'],
  ['a thing without a text', Object.create(null), 'something was thrown that is no error and has no text'],
])('%s that is thrown is told', async (_, junk, message) => {
  const throwing = broken((device) => {
    device.supports = () => {
      throw junk
    }
  })
  const [report] = await outcomes(throwing, [dense])
  expect(report).toMatchObject({ status: 'failed', message })
})

test('what is left in device.memory() after a case is a failure, and the next case starts afresh', async () => {
  const leaky = plainCase(async ({ device }) => {
    device.empty({ shape: [256], dtype: 'f32' })
    return []
  })
  const [first, second] = await outcomes(reference(), [leaky, dense])
  expect(first.status).toBe('failed')
  expect(first.message).toMatch(
    /^after the case: device\.memory\(\) went from 0 bytes, 0 tensors.* to 1024 bytes, 1 tensor,/,
  )
  expect(second.status).toBe('passed')
})

test('disposal that fails is a failure of the case', async () => {
  const failing = broken((device) => {
    device.free = () => {
      throw new Error('cannot free')
    }
  })
  const [report] = await outcomes(failing, [dense])
  expect(report).toMatchObject({ status: 'failed', message: 'after the case: Error: cannot free' })
})

test('a device that cannot be opened again ends the run of cases, not the suite', async () => {
  const once = broken((device, opened) => {
    if (opened > 1) throw new Error('busy')
    device.supports = () => {
      throw new Error('lost')
    }
  })
  const [first, second] = await outcomes(once, [dense, dense])
  expect(first).toMatchObject({ status: 'failed', message: 'Error: lost' })
  expect(second.message).toMatch(/^not run: the device could not be opened again .*busy/)
})
