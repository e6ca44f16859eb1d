// Conformance of the library on a device that the host emulates (test-library/emulation): the runtime, plans, schedules and
// ops as they are, decode kernels replaced. After `pnpm build` and a build with -DPOLYMLA_TESTS=ON.

import { fileURLToPath } from 'node:url'
import { runConformance } from '@polymla/conformance'
import { nativeBackend } from '@polymla/native'

const library = fileURLToPath(new URL('../build/libpolymla_cuda_emulated.so', import.meta.url))
const backend = nativeBackend({ name: 'cuda', library })
/** The emulated device computes while work is enqueued, as a device must not. */
const filter = /^(?!behaviour\/events\/event-loop)/
const runs = [
  { grid: 'smoke' },
  { grid: 'standard', filter: /tree|split|invariant|page|d512|edges|hostile/, shard: { index: 1, count: 6 } },
]
for (const run of runs) {
  const report = await runConformance({ backend, filter, budget: 1e6, ...run })
  for (const { name, status, message } of report.cases)
    if (status === 'failed') console.error(`${name}: ${message}`)
  const { passed, failed, skipped, milliseconds } = report
  console.log(
    `${run.grid}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${Math.round(milliseconds / 1000)} s`,
  )
  if (failed > 0 || passed === 0) process.exitCode = 1
}
