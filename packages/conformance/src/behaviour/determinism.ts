import type { Case } from '../cases/case.js'
import { behaviourCase, expectRight, expectSame } from './workload.js'

/** Same inputs, same plan: the same bits, whatever else the device does. */
export const determinismCases: readonly Case[] = [
  behaviourCase(
    'determinism/repeats',
    async ({ device, own }, work) => {
      const rig = work.rig()
      const other = work.rig()
      rig.update()
      other.update()
      rig.run()
      const first = await rig.results()
      await expectRight(rig, first)
      const stream = own(device.stream())
      for (let i = 0; i < 4; i++) {
        rig.poisonOutputs()
        other.run(stream)
        rig.run()
        other.run(stream)
        expectSame(first, await rig.results(), `repeat ${i} and the first run`)
      }
      await stream.synchronize()
    },
    { batch: 5, keys: 700, mask: 'causal', queryTokens: 2 },
  ),
  behaviourCase('determinism/plans', async (_, work) => {
    const inputs = work.inputs()
    const found = [work.rig(inputs), work.rig(inputs)].map((rig) => {
      rig.update()
      rig.run()
      return rig.results()
    })
    const [first, second] = await Promise.all(found)
    expectSame(first, second, 'two plans of one problem')
  }),
]
