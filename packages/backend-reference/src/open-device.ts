import { Arena } from './arena.js'
import { ReferenceDevice } from './device.js'
import { WorkerPool } from './worker-pool.js'

const arena = new Arena()
let pool: WorkerPool | null = null
let users = 0

/** A device on the process's one pool of threads, which ends with the last device that uses it. */
export function openDevice(): ReferenceDevice {
  users++
  pool ??= new WorkerPool()
  return new ReferenceDevice(pool, arena, async () => {
    if (--users > 0) return
    const last = pool
    pool = null
    await last?.close()
  })
}
