import reference from '@polymla/backend-reference'
import { createRuntime } from '@polymla/core'
import { expect, test } from 'vitest'
import { Scope } from '../scope.js'
import { opWork } from './ops.js'
import type { OpCase } from './rows.js'

const CASES: readonly (readonly [OpCase, number])[] = [
  [{ kind: 'append_kv.bf16', tokens: 70 }, 70 * 2 * 2 * 576],
  [{ kind: 'append_kv.fp8', tokens: 70 }, 70 * (2 * 576 + 656)],
  [{ kind: 'copy_pages.bf16', tokens: 192 }, 192 * 2 * 2 * 576],
  [{ kind: 'merge_states.bf16', parts: 3, rows: 5 }, 4 * 5 * (2 * 512 + 4)],
]

test.each(CASES)('%o runs, and counts what it reads and writes', async (row, bytes) => {
  await using device = await createRuntime({ backends: [reference()] }).selectDevice('reference')
  using scope = new Scope()
  const work = opWork(device, row, 0, scope)
  work.launch()
  await device.synchronize()
  expect(work.bytes).toBe(bytes)
})
