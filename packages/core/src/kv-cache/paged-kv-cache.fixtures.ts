import type { Device } from '../device/device.js'
import type { CopyPagesInput } from '../ops/copy-pages.js'
import type { KvLayout } from './formats.js'
import { type KvCacheOptions, PagedKvCache } from './paged-kv-cache.js'
import type { Sequence } from './sequence.js'
import { KvStorage } from './storage.js'

/** One number per slot and layer, and a device that knows nothing but how to copy pages of them. */
export class FakeDevice {
  readonly id = 'fake'
  disposed = false
  readonly memory = new Map<KvStorage, Int32Array>()
  readonly copies: CopyPagesInput[] = []
  /** What the next copies do instead. */
  copyError: Error | null = null
  storageLimit = Number.POSITIVE_INFINITY

  createKvStorage(layout: KvLayout): KvStorage {
    if (this.memory.size === this.storageLimit) throw new Error('no more storage')
    const tensor = { dispose: () => this.memory.delete(storage) }
    const storage = new KvStorage(layout, tensor as never)
    this.memory.set(storage, new Int32Array(layout.pages * layout.pageSize).fill(-1))
    return storage
  }

  copyPages(input: CopyPagesInput): void {
    if (this.copyError) throw this.copyError
    this.copies.push(input)
    const cells = this.memory.get(input.cache) as Int32Array
    const { pageSize } = input.cache.layout
    const pages = input.pages as Int32Array
    const targets = new Set<number>()
    for (let i = 1; i < pages.length; i += 2) targets.add(pages[i])
    if (targets.size !== pages.length / 2) throw new Error('a page is written twice')
    for (let i = 0; i < pages.length; i += 2) {
      if (targets.has(pages[i])) throw new Error('a page is read and written')
      cells.copyWithin(pages[i + 1] * pageSize, pages[i] * pageSize, (pages[i] + 1) * pageSize)
    }
  }

  /** Writes `values` into the slots of every layer, each layer its own version of them. */
  write(cache: PagedKvCache, slots: Int32Array, values: readonly number[]): void {
    for (const [layer, storage] of cache.layers.entries()) {
      const cells = this.memory.get(storage) as Int32Array
      for (const [i, slot] of slots.entries()) cells[slot] = layerValue(values[i], layer)
    }
  }

  /** What a layer holds for a sequence, read through its pages. */
  read(cache: PagedKvCache, sequence: Sequence, layer: number): number[] {
    const cells = this.memory.get(cache.layers[layer]) as Int32Array
    const { pageSize } = cache.layout
    return Array.from({ length: sequence.length }, (_, i) => {
      return cells[sequence.pages[Math.floor(i / pageSize)] * pageSize + (i % pageSize)]
    })
  }
}

export function layerValue(value: number, layer: number): number {
  return (value ^ (layer * 0x5555)) | 0
}

/**
 * What a cache holds for each token: like a real KV row it depends on the token and all before it, so a page that is
 * shared below the wrong prefix shows.
 */
export function contents(tokens: readonly number[]): number[] {
  let state = 7
  return tokens.map((token) => {
    state = Math.imul(state ^ (token + 1), 0x01000193)
    return state
  })
}

export function fakeCache(options: Partial<KvCacheOptions> = {}): {
  device: FakeDevice
  cache: PagedKvCache
} {
  const device = new FakeDevice()
  const given: KvCacheOptions = { format: 'bf16', pages: 8, pageSize: 4, ...options }
  return { device, cache: new PagedKvCache(device as unknown as Device, given) }
}
