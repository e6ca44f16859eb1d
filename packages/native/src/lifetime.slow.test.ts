import { describe, expect, it } from 'vitest'
import { runProgram } from './lifetime.fixtures.js'
import { notRunnable, suite } from './plugins.fixtures.js'

describe.skipIf(notRunnable)(suite('a process'), () => {
  it('can exit although a download never ends', async () => {
    const program = `
      const device = await open({ fault: 'event-never' }, 'faulty')
      device.createStream().download(device.alloc(16), 0, new Uint8Array(16))
      console.log('exit')
      process.exit(0)`
    expect(await runProgram(program)).toBe('exit')
  })
})
