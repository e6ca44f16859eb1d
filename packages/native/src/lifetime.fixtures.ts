import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pluginPath } from './plugins.fixtures.js'

const built = new URL('../dist/index.js', import.meta.url).href

/** What every program begins with: opening a device of the built package over the plugin `memory`. */
const PRELUDE = `
  import { Worker, isMainThread, workerData } from 'node:worker_threads'
  import { nativeBackend } from ${JSON.stringify(built)}
  async function open(options = {}, plugin = 'memory') {
    const library = ${JSON.stringify(pluginPath('memory'))}.replace('memory.so', plugin + '.so')
    const backend = nativeBackend({ name: plugin, library, origin: 'package', options })
    const [info] = await backend.probe()
    return backend.open(info)
  }
  async function count(report) {
    const device = await open({ report })
    const { totalBytes, freeBytes } = device.memory()
    await device.dispose()
    return totalBytes - freeBytes - (report === 'handles' ? 1 : 0)
  }
  async function settled() {
    while ((await count('handles')) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    console.log('misuses', await count('misuses'))
  }
  /** Work of all kinds in flight, a download among it. */
  function work(device, steps = 20) {
    const [stream, other] = [device.createStream(), device.createStream()]
    const buffer = device.alloc(4096)
    for (let i = 0; i < steps; i++) stream.fill(buffer, 0, 4096, i)
    stream.download(buffer, 0, new Uint8Array(4096))
    const event = stream.record()
    other.wait(event)
    other.fill(buffer, 0, 16, 1)
    stream.beginCapture()
    stream.fill(buffer, 0, 16, 1)
    const graph = stream.endCapture()
    graph.launch(stream)
    return { stream, other, buffer, event, graph }
  }
`

/** Runs a program of its own; it fails when the program crashes or does not end by itself. */
export async function runProgram(program: string, flags: string[] = []): Promise<string> {
  const args = [...flags, '--input-type=module', '--eval', PRELUDE + program]
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 20_000 })
  return stdout.trim()
}

/** Starts a thread that runs a program after the prelude. */
export const workerProgram = (program: string) => `
  new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(PRELUDE)} + ${JSON.stringify(program)})))
`
