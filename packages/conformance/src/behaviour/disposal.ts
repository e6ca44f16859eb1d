import { type Case, CaseSkipped, check } from '../cases/case.js'
import { behaviourCase, expectError, expectRight, LONG } from './workload.js'

export const disposalCases: readonly Case[] = [
  behaviourCase('disposal/idempotent', async ({ device }, work) => {
    const rig = work.rig()
    rig.update()
    const handles = [
      rig.plan,
      device.empty({ shape: [8], dtype: 'f32' }),
      device.createKvStorage({ format: 'bf16', pages: 2 }),
      device.stream(),
      device.defaultStream.record(),
      device.capture(() => rig.run()),
    ]
    // Not what the device says is free: other processes may use it.
    const counted = () => ({ ...device.memory(), freeBytes: undefined })
    for (const handle of handles) handle.dispose()
    const once = counted()
    for (const handle of handles) handle.dispose()
    check(
      JSON.stringify(once) === JSON.stringify(counted()),
      'disposing handles a second time changed what device.memory() counts',
    )
  }),
  behaviourCase('disposal/use-after', async ({ device, own }, work) => {
    const rig = work.rig()
    rig.update()
    const stream = device.stream()
    const event = stream.record()
    const tensor = device.empty({ shape: [8], dtype: 'i32' })
    const view = tensor.slice(0, 0, 4)
    for (const handle of [stream, event, tensor]) handle.dispose()
    const after: Record<string, () => unknown> = {
      'a disposed stream': () => rig.run(stream),
      'recording on a disposed stream': () => stream.record(),
      'a disposed event': () => event.query(),
      'waiting for a disposed event': () => own(device.stream()).wait(event),
      'writing to a disposed tensor': () => tensor.write(new Int32Array(8)),
      'a view of a disposed tensor': () => view.download(),
    }
    for (const [what, call] of Object.entries(after)) await expectError(what, 'POLYMLA_DISPOSED', call)
    rig.plan.dispose()
    await expectError('running a disposed plan', 'POLYMLA_DISPOSED', () => rig.run())
    await expectError('updating a disposed plan', 'POLYMLA_DISPOSED', () => rig.update())
    const other = work.rig()
    other.update()
    other.q.dispose()
    await expectError('running with a disposed view', 'POLYMLA_DISPOSED', () => other.run())
  }),
  behaviourCase(
    'disposal/in-flight',
    async ({ device }, work) => {
      const inputs = work.inputs()
      const { problem, batch, lengths: seqlens, blockTable } = inputs
      const { op: _, ...options } = problem
      const shape = [batch, problem.queryTokens, problem.heads, problem.cache.headDim]
      const rig = work.rig(inputs)
      rig.update()
      for (let i = 0; i < 3; i++) rig.run()
      // All that the last run needs dies while it waits for its turn, and its memory is asked for again.
      const plan = device.planDecode(options)
      const q = device.upload(inputs.q, { shape, dtype: problem.dtype })
      const cache = device.createKvStorage(problem.cache)
      cache.tensor.write(inputs.storage)
      plan.update({ seqlens, blockTable })
      rig.poisonOutputs()
      plan.run({ q, cache, out: rig.out.tensor, lse: rig.lse?.tensor ?? null })
      for (const handle of [plan, q, cache]) handle.dispose()
      for (let i = 0; i < 3; i++) {
        const garbage = device.empty({ shape: [inputs.storage.length], dtype: 'bf16' })
        garbage.fillBytes(0xff)
        garbage.dispose()
      }
      await expectRight(rig, rig.results(), 'a run whose inputs were disposed while it was in flight')
    },
    LONG,
  ),
  behaviourCase(
    'disposal/device',
    async (bench, work) => {
      if (!bench.open) throw new CaseSkipped('an open device was handed in, which the suite must not dispose')
      const device = await bench.open()
      const inputs = work.inputs()
      const { op: _, ...options } = inputs.problem
      const plan = device.planDecode(options)
      const shape = [inputs.batch, options.queryTokens, options.heads]
      const q = device.upload(inputs.q, { shape: [...shape, options.cache.headDim], dtype: options.dtype })
      const out = device.empty({ shape: [...shape, options.valueDim], dtype: options.outDtype })
      const cache = device.createKvStorage(options.cache)
      const stream = device.stream()
      plan.update({ seqlens: inputs.lengths, blockTable: inputs.blockTable })
      for (let i = 0; i < 3; i++) plan.run({ q, cache, out })
      await device.dispose()
      await device.dispose()
      check(device.disposed, 'device.disposed is false after dispose()')
      const after: Record<string, () => unknown> = {
        'a run': () => plan.run({ q, cache, out }),
        'a plan': () => device.planDecode(options),
        'a tensor': () => device.empty({ shape: [1], dtype: 'f32' }),
        'a download': () => out.download(),
        'a stream': () => device.stream(),
        'an event': () => stream.record(),
        'synchronize()': () => device.synchronize(),
        'supports()': () => device.supports(inputs.problem),
      }
      for (const [what, call] of Object.entries(after)) {
        await expectError(`${what} on a disposed device`, 'POLYMLA_DISPOSED', call)
      }
      for (const handle of [plan, q, out, cache, stream]) handle.dispose()
      const { liveBytes } = device.memory()
      check(
        liveBytes === 0,
        `everything of a disposed device was disposed, but memory() counts ${liveBytes} bytes`,
      )
    },
    LONG,
  ),
  behaviourCase('disposal/memory-returns-to-zero', async ({ open }, work) => {
    if (!open) throw new CaseSkipped('an open device was handed in, whose memory others may hold')
    const device = await open()
    const { q, storage, lengths: seqlens, blockTable, problem, batch } = work.inputs()
    const { op: _, ...options } = problem
    const shape = [batch, options.queryTokens, options.heads]
    for (let round = 0; round < 2; round++) {
      const plan = device.planDecode(options)
      const query = device.upload(q, { shape: [...shape, options.cache.headDim], dtype: options.dtype })
      const out = device.zeros({ shape: [...shape, options.valueDim], dtype: options.outDtype })
      const cache = device.createKvStorage(options.cache)
      cache.tensor.write(storage)
      const stream = device.stream()
      plan.update({ seqlens, blockTable })
      plan.run({ q: query, cache, out })
      const event = device.defaultStream.record()
      stream.wait(event)
      const graph = device.capture(() => plan.run({ q: query, cache, out }))
      graph.replay()
      const { liveBytes, peakBytes } = device.memory()
      const least = q.byteLength + storage.byteLength
      check(
        liveBytes >= least && peakBytes >= liveBytes,
        `memory() counts ${liveBytes} bytes of at least ${least}`,
      )
      for (const handle of [graph, event, stream, cache, out, query, plan]) handle.dispose()
      await device.synchronize()
      const left = device.memory()
      check(left.liveBytes === 0, `memory() counts ${left.liveBytes} bytes after everything was disposed`)
      for (const [kind, count] of Object.entries(left.handles)) {
        check(count === 0, `memory() counts ${count} handles of kind ${kind} after everything was disposed`)
      }
    }
  }),
]
