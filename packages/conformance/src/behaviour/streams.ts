import { type Case, check } from '../cases/case.js'
import { behaviourCase, expectRight, LONG } from './workload.js'

const COUNT = 100_000

/** Order within a stream, and none between streams but what events make. */
export const streamCases: readonly Case[] = [
  {
    name: 'behaviour/streams/order',
    problem: () => null,
    async run({ device, own }) {
      const stream = own(device.stream())
      const tensor = own(device.empty({ shape: [COUNT], dtype: 'i32' }))
      const numbers = Int32Array.from({ length: COUNT }, (_, i) => i * 7)
      const part = tensor.slice(0, 10, 20)
      tensor.fillBytes(1, { stream })
      const filled = tensor.download({ stream })
      tensor.write(numbers, { stream })
      // The source is the caller's again.
      numbers.fill(-1)
      const written = tensor.download({ stream })
      part.fillBytes(0, { stream })
      const partly = tensor.download({ stream })
      const [first, second, last] = await Promise.all([filled, written, partly])
      check(
        first.every((value) => value === 0x01010101),
        'a download after a fill shows other bytes',
      )
      check(
        second.every((value, i) => value === i * 7),
        'a download after an upload shows other bytes',
      )
      check(
        last[9] === 63 && last[10] === 0 && last[19] === 0 && last[20] === 140,
        'a fill of a slice missed it',
      )
      return []
    },
  },
  behaviourCase(
    'streams/wait',
    async ({ device, own }, work) => {
      const rig = work.rig()
      await device.synchronize()
      const [first, second] = [own(device.stream()), own(device.stream())]
      rig.update(first)
      for (let i = 0; i < 4; i++) rig.run(first)
      second.wait(own(first.record()))
      await expectRight(rig, rig.results(second), 'work on a stream that waited for another')
    },
    LONG,
  ),
  behaviourCase('streams/parallel', async ({ device, own }, work) => {
    const rigs = [work.rig(), work.rig()]
    await device.synchronize()
    const streams = rigs.map(() => own(device.stream()))
    for (let i = 0; i < 5; i++) {
      rigs.forEach((rig, j) => {
        rig.update(streams[j])
        rig.run(streams[j])
      })
    }
    const found = await Promise.all(rigs.map((rig, j) => rig.results(streams[j])))
    for (const [j, rig] of rigs.entries()) await expectRight(rig, found[j], `stream ${j} of two in parallel`)
  }),
  behaviourCase(
    'streams/synchronize',
    async ({ device, own }, work) => {
      const rig = work.rig()
      rig.update()
      rig.run()
      const event = own(device.defaultStream.record())
      await device.synchronize()
      check(event.query(), 'device.synchronize() resolved before the default stream was empty')
    },
    LONG,
  ),
]
