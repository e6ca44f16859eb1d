// cuda:0 on NVIDIA GPUs of every compute capability, without one: the bundled command line tool, with both libraries for NVIDIA's
// GPUs over a CUDA runtime that the host emulates. Its one GPU has the capability that POLYMLA_EMULATED_CUDA names. What finds the
// device, decides whose kernels it takes, opens it and launches them is what would do so on a GPU; kernels are C++, the portable
// ones in the tiles of that GPU.
//
// After the check-native.sh of backend-cuda-hopper and of this package, and node scripts/bundle.mjs.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const work = await mkdtemp(join(tmpdir(), 'polymla-cuda-'))
await cp(join(root, 'bundle'), work, { recursive: true })
const native = join(work, `dist/native/linux-${process.arch}`)
const replace = (name, by) => cp(join(root, 'packages', by), join(native, `libpolymla_${name}.so`))
await replace('cuda_hopper', 'backend-cuda-hopper/build/libpolymla_cuda_emulated.so')
await replace('cuda', 'backend-vendor/build/native/libpolymla_emu_cuda.so')

/** What the tool says; which failures there are is in it, too. */
async function tool(capability, ...args) {
  const env = { PATH: process.env.PATH, POLYMLA_EMULATED_CUDA: capability }
  const options = { env, maxBuffer: 2 ** 28 }
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [work, ...args, '--json'],
    options,
  ).catch((failure) => failure)
  assert.ok(stdout, stderr)
  return JSON.parse(stdout)
}
const gpuOf = async (capability) =>
  (await tool(capability, 'devices')).find(({ id }) => id === 'cuda:0' || id === 'cuda')

try {
  for (const capability of ['8.0', '8.6', '8.9', '10.0', '12.0']) {
    const { device, cases } = await tool(capability, 'conformance', '--device', 'cuda:0', '--grid', 'smoke')
    assert.equal(device.name, `Emulated GPU of compute capability ${capability}`)
    assert.equal(device.arch, `sm_${capability.replace('.', '')}`)
    assert.deepEqual(
      cases.filter(({ status }) => status !== 'passed').map(({ name, message }) => `${name}: ${message}`),
      [],
    )
    console.log(`${capability}: ${device.id} is the portable kernels, ${cases.length} cases passed`)
  }
  for (const [capability, message] of [
    ['7.5', 'compute capability 7.5, and the kernels are for 8.0 and newer'],
    ['11.0', 'its architecture is 11.0, and this library was compiled for others'],
  ]) {
    const gpu = await gpuOf(capability)
    assert.equal(gpu.available, false)
    assert.ok(gpu.reason.message.includes(message), gpu.reason.message)
    console.log(`${capability}: ${gpu.reason.message}`)
  }
  const hopper = await gpuOf('9.0')
  assert.equal(hopper.available, true)
  assert.equal(hopper.name, 'Emulated device')
  console.log(`9.0: ${hopper.id} is the Hopper library's`)
} finally {
  await rm(work, { recursive: true })
}
