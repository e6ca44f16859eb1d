import { describe, expect, it } from 'vitest'
import { runProgram, workerProgram } from './lifetime.fixtures.js'
import { notRunnable, suite } from './plugins.fixtures.js'

describe.skipIf(notRunnable)(suite('a process'), () => {
  it('ends by itself with open handles and work in flight', async () => {
    expect(await runProgram(`work(await open({ latency_ms: '20' })); console.log('end')`)).toBe('end')
  })

  it('ends by itself when an event never completes that nobody awaits', async () => {
    const program = `
      const device = await open({ fault: 'event-never' }, 'faulty')
      const stream = device.createStream()
      const event = stream.record()
      device.free(device.alloc(16))
      console.log(event.query())`
    expect(await runProgram(program)).toBe('false')
  })

  it('stays for what is awaited', async () => {
    const program = `
      const { event } = work(await open({ latency_ms: '10' }))
      void event.done().then(() => console.log('done'))`
    expect(await runProgram(program)).toBe('done')
  })

  it('stays until a device is closed', async () => {
    const program = `
      const device = await open({ latency_ms: '10' })
      work(device)
      void device.dispose().then(settled)`
    expect(await runProgram(program)).toBe('misuses 0')
  })

  it('can exit with work in flight', async () => {
    const program = `
      const device = await open({ latency_ms: '20' })
      const { event } = work(device)
      event.done().then(() => console.log('never'))
      console.log('exit')
      process.exit(0)`
    expect(await runProgram(program)).toBe('exit')
  })

  it('can exit while a stream captures, and while a device opens', async () => {
    const program = `
      const stream = (await open()).createStream()
      stream.beginCapture()
      void open({ fault: 'slow-open', delay_ms: '2000' }, 'faulty')
      await new Promise((resolve) => setTimeout(resolve, 50))
      console.log('exit')
      process.exit(0)`
    expect(await runProgram(program)).toBe('exit')
  })

  it('gives back what is collected without dispose, in whatever order', async () => {
    const program = `
      async function round(i) {
        const device = await open()
        for (let i = 0; i < 20; i++) work(device, 2)
        if (i % 5 === 0) gc()
      }
      for (let i = 0; i < 20; i++) await round(i)
      while ((await count('handles')) > 0) {
        gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
      console.log('misuses', await count('misuses'))`
    expect(await runProgram(program, ['--expose-gc'])).toBe('misuses 0')
  })

  it('keeps a device as long as anything of it', async () => {
    const program = `
      const { stream, buffer } = work(await open())
      for (let i = 0; i < 20; i++) {
        gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
      const bytes = new Uint8Array(4)
      stream.fill(buffer, 0, 4, 9)
      stream.download(buffer, 0, bytes)
      await stream.record().done()
      console.log(bytes.join())`
    expect(await runProgram(program, ['--expose-gc'])).toBe('9,9,9,9')
  })

  it('keeps what a download writes to, although nobody else does', async () => {
    const program = `
      const device = await open({ latency_ms: '1' })
      const stream = device.createStream()
      const buffer = device.alloc(65536)
      stream.fill(buffer, 0, 65536, 3)
      let live = 0
      const registry = new FinalizationRegistry(() => live--)
      const download = () => {
        const target = new Uint8Array(65536)
        registry.register(target)
        live++
        stream.download(buffer, 0, target)
      }
      for (let i = 0; i < 50; i++) download()
      const event = stream.record()
      while (!event.query()) {
        gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
      while (live > 0) {
        gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
      console.log('collected')`
    expect(await runProgram(program, ['--expose-gc'])).toBe('collected')
  })
})

describe.skipIf(notRunnable)(suite('worker threads'), () => {
  it('work side by side on one library', async () => {
    const each = `
      for (let round = 0; round < 20; round++) {
        const device = await open()
        const { event } = work(device)
        await event.done()
        await device.dispose()
      }`
    const program = `
      const ends = Array.from({ length: 4 }, () => {
        const thread = ${workerProgram(each)}
        return new Promise((resolve, reject) => thread.on('error', reject).on('exit', resolve))
      })
      ${each}
      await Promise.all(ends)
      await settled()`
    expect(await runProgram(program)).toBe('misuses 0')
  })

  it('may end, or be ended, with work in flight', async () => {
    const each = `
      const device = await open({ latency_ms: '2' })
      const { event } = work(device)
      event.done()
      import('node:worker_threads').then(({ parentPort }) => parentPort.postMessage('busy'))
      for (;;) {
        work(device, 1)
        await new Promise((resolve) => setImmediate(resolve))
      }`
    const program = `
      for (let round = 0; round < 8; round++) {
        const thread = ${workerProgram(each)}
        await new Promise((resolve, reject) => thread.on('message', resolve).on('error', reject))
        await new Promise((resolve) => setTimeout(resolve, round))
        await thread.terminate()
      }
      const leaving = ${workerProgram(`work(await open({ latency_ms: '2' }))`)}
      await new Promise((resolve) => leaving.on('exit', resolve))
      await settled()`
    expect(await runProgram(program)).toBe('misuses 0')
  })
})
