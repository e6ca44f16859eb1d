import { type Case, check } from '../cases/case.js'
import { behaviourCase, expectError, expectRight, LONG } from './workload.js'

/** Milliseconds of work that the event loop is watched over; less than a quarter of them says nothing. */
const WATCHED = 300
/** Milliseconds that a call which enqueues may always take. */
const SHORT = 5

export const eventCases: readonly Case[] = [
  behaviourCase(
    'events/lifecycle',
    async ({ device, own }, work) => {
      const rig = work.rig()
      await device.synchronize()
      const stream = own(device.stream())
      const before = own(stream.record())
      rig.update(stream)
      rig.run(stream)
      const after = own(stream.record())
      await after.done()
      check(after.query(), 'event.query() is false after done()')
      check(before.query(), 'an event is not done although a later one of its stream is')
      await before.done()
      const elapsed = after.elapsedSince(before)
      check(
        Number.isFinite(elapsed) && elapsed > 0,
        `elapsedSince over a decode: expected µs > 0, found ${elapsed}`,
      )
      check(after.elapsedSince(after) === 0, 'elapsedSince of an event and itself is not 0')
      await expectRight(rig, rig.results(stream))
    },
    LONG,
  ),
  {
    name: 'behaviour/events/empty-stream',
    problem: () => null,
    async run({ device, own }) {
      const stream = own(device.stream())
      await own(stream.record()).done()
      await stream.synchronize()
      return []
    },
  },
  behaviourCase(
    'events/abort',
    async ({ device, own }, work) => {
      const rig = work.rig()
      rig.update()
      for (let i = 0; i < 4; i++) rig.run()
      const event = own(device.defaultStream.record())
      const controller = new AbortController()
      const waiting = expectError('done() whose signal fires', 'POLYMLA_ABORTED', () =>
        event.done({ signal: controller.signal }),
      )
      controller.abort()
      await waiting
      await expectError('done() with a signal that has fired', 'POLYMLA_ABORTED', () =>
        event.done({ signal: AbortSignal.abort() }),
      )
      await expectError('download() with a signal that has fired', 'POLYMLA_ABORTED', () =>
        rig.out.tensor.download({ signal: AbortSignal.abort() }),
      )
      await event.done()
      await expectRight(rig, rig.results(), 'work whose wait was given up')
    },
    LONG,
  ),
  behaviourCase(
    'events/event-loop',
    async ({ device }, work) => {
      const rig = work.rig()
      rig.update()
      rig.run()
      await device.synchronize()
      const start = performance.now()
      rig.run()
      await device.synchronize()
      const runs = Math.min(Math.ceil(WATCHED / Math.max(performance.now() - start, 0.1)), 2000)

      const begin = performance.now()
      for (let i = 0; i < runs; i++) rig.run()
      const enqueued = performance.now()
      let last = enqueued
      let held = 0
      const tick = () => {
        held = Math.max(held, performance.now() - last)
        last = performance.now()
      }
      const watch = setInterval(tick, 1)
      await device.synchronize()
      tick()
      clearInterval(watch)
      const [enqueueing, waiting] = [enqueued - begin, performance.now() - enqueued]
      check(
        enqueueing / runs < SHORT || enqueueing < waiting,
        `${runs} runs: enqueueing took ${Math.round(enqueueing)} ms, as if it computed, and waiting ${Math.round(waiting)}`,
      )
      check(
        waiting < WATCHED / 4 || held < waiting / 2,
        `a wait of ${Math.round(waiting)} ms held the event loop for ${Math.round(held)} ms`,
      )
    },
    LONG,
  ),
]
