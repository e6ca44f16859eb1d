import { type Case, check } from '../cases/case.js'
import { upload } from '../cases/device-io.js'
import { shorter } from './plans.js'
import { behaviourCase, expectError, expectRight, expectSame } from './workload.js'

export const graphCases: readonly Case[] = [
  behaviourCase('graphs/replay', async ({ device, own }, work) => {
    const rig = work.rig()
    rig.update()
    rig.run()
    const direct = await rig.results()
    rig.poisonOutputs()
    const graph = own(device.capture(() => rig.run()))
    const untouched = await rig.out.download()
    check(
      new Uint8Array(untouched.buffer).every((byte) => byte === 0xff),
      'capture() ran the work it collects',
    )
    for (let i = 0; i < 2; i++) {
      rig.poisonOutputs()
      graph.replay()
      expectSame(direct, await rig.results(), `replay ${i} and the direct run`)
    }
    const stream = own(device.stream())
    rig.poisonOutputs()
    stream.wait(own(device.defaultStream.record()))
    graph.replay({ stream })
    expectSame(direct, await rig.results(stream), 'a replay on another stream and the direct run')
  }),
  behaviourCase('graphs/update-between-replays', async ({ device, own }, work) => {
    const inputs = work.inputs()
    const rig = work.rig(inputs)
    rig.update()
    const graph = own(device.capture(() => rig.run()))
    const steps = [inputs, shorter(inputs), inputs]
    const replayed = await Promise.all(
      steps.map(({ lengths: seqlens, blockTable }) => {
        rig.plan.update({ seqlens, blockTable })
        rig.poisonOutputs()
        graph.replay()
        return rig.results()
      }),
    )
    for (const [i, step] of steps.entries()) {
      const fresh = work.rig(step)
      fresh.update()
      fresh.run()
      expectSame(await fresh.results(), replayed[i], `replay ${i} after an update and a fresh run`)
      await expectRight(fresh, replayed[i], `replay ${i} after an update`)
    }
  }),
  behaviourCase('graphs/several-launches', async ({ device, own }, work) => {
    const first = work.rig()
    const second = work.rig()
    first.update()
    second.update()
    const graph = own(
      device.capture(() => {
        first.run()
        second.out.tensor.fillBytes(0)
        second.run()
      }),
    )
    graph.replay()
    graph.replay()
    await expectRight(first, first.results(), 'the first launch of a graph')
    await expectRight(second, second.results(), 'the second launch of a graph')
  }),
  behaviourCase('graphs/illegal', async (bench, work) => {
    const { device, own } = bench
    const rig = work.rig()
    rig.update()
    const other = own(device.stream())
    const tensor = upload(bench, 'i32', [4], new Int32Array(4))
    const { lengths: seqlens, blockTable } = rig.inputs
    const illegal: Record<string, () => unknown> = {
      'an allocation': () => device.empty({ shape: [4], dtype: 'i32' }),
      'an upload': () => tensor.write(new Int32Array(4)),
      'a host-side plan update': () => rig.plan.update({ seqlens, blockTable }),
      'a plan': () => work.rig(rig.inputs),
      'a nested capture': () => device.capture(() => {}),
      'a launch on another stream': () => rig.run(other),
      'an event': () => device.defaultStream.record(),
    }
    for (const [what, call] of Object.entries(illegal)) {
      await expectError(`${what} during capture`, 'POLYMLA_CAPTURE_ILLEGAL', () => device.capture(call))
    }
    await expectError('a download during capture', 'POLYMLA_CAPTURE_ILLEGAL', () => {
      let download: Promise<unknown> = Promise.resolve()
      own(
        device.capture(() => {
          download = tensor.download()
        }),
      )
      return download
    })
    await expectError('an asynchronous capture', 'POLYMLA_CAPTURE_ILLEGAL', () =>
      device.capture((async () => {}) as () => void),
    )
    // None of the failures may leave the device capturing.
    rig.run()
    await expectRight(rig, rig.results(), 'a run after captures that failed')
  }),
  behaviourCase('graphs/stale', async ({ device, own }, work) => {
    const rig = work.rig()
    rig.update()
    const graph = own(device.capture(() => rig.run()))
    const { lengths, blockTable, width } = rig.inputs
    rig.plan.update({ seqlens: lengths.subarray(1), blockTable: blockTable.subarray(width) })
    await expectError('replay with another batch', 'POLYMLA_PLAN_STALE', () => graph.replay())
    rig.update()
    graph.replay()
    await expectRight(rig)
    graph.dispose()
    await expectError('replay of a disposed graph', 'POLYMLA_DISPOSED', () => graph.replay())
    const orphan = own(device.capture(() => rig.run()))
    rig.q.dispose()
    await expectError('replay with a disposed tensor', 'POLYMLA_DISPOSED', () => orphan.replay())
  }),
]
