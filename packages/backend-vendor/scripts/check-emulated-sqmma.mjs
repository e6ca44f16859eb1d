// Attention on an emulated device whose matrix unit is SQMMA as Moore Threads describes it (native/test/emulated/sqmma.h), with
// the shared memory of MP 3.1, for which tiles have 32 keys, and with more, for tiles of 64. After `pnpm build` and check-native.sh.

import { fileURLToPath } from 'node:url'
import { runConformance } from '@polymla/conformance'
import { nativeBackend } from '@polymla/native'

const library = fileURLToPath(new URL('../build/native/libpolymla_emu_sqmma.so', import.meta.url))
for (const shared of [196_608, 232_448]) {
  const options = { shared: String(shared) }
  const { cases, passed, failed } = await runConformance({
    backend: nativeBackend({ name: 'emu', library, origin: 'package', ids: 'arch', options }),
    device: 'emu:wave32',
    grid: 'smoke',
    filter: /^(dense|sparse|prefill|invariant)/,
  })
  for (const { name, status, message } of cases) if (status !== 'passed') console.error(`${name}: ${message}`)
  console.log(`SQMMA, ${shared} bytes of shared memory: ${passed} of ${cases.length} cases passed`)
  if (failed > 0 || passed < cases.length) process.exitCode = 1
}
