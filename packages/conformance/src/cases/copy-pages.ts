import {
  copyPagesProblem,
  type HostArray,
  hostArray,
  type KvFormat,
  kvLayout,
  pageLength,
  storageDType,
  storageLength,
} from '@polymla/core'
import { compareBits } from '../compare.js'
import type { Case } from './case.js'
import { upload, uploadStorage } from './device-io.js'
import { bytesOf } from './host-cache.js'

/** A copy of pages, as grids describe it. */
export interface CopySpec {
  readonly format: KvFormat
  readonly pages: number
  readonly pageSize: number
  readonly headsKv: number
  readonly headDim: number
  readonly pairs: number
  readonly pageGap: number
  /** Where the pairs lie. `hostile`: on the device, some with an id outside the cache. */
  readonly table: 'host' | 'hostile'
}

const DEFAULTS: Omit<CopySpec, 'headDim'> = {
  format: 'bf16',
  pages: 12,
  pageSize: 64,
  headsKv: 1,
  pairs: 4,
  pageGap: 0,
  table: 'host',
}

/** A case of `copyPages`: the whole cache afterwards, gaps included, bit for bit. */
export function copyCase(given: Partial<CopySpec>): Case {
  const usualDim = given.format === 'fp8-584' ? 512 : 576
  const spec: CopySpec = { ...DEFAULTS, headDim: usualDim, ...given }
  const { format, pages, pageSize, headsKv, headDim, pairs, pageGap, table } = spec
  const packed = kvLayout({ format, pages, pageSize, headsKv, headDim })
  const layout = pageGap === 0 ? packed : kvLayout({ ...packed, pageStride: pageLength(packed) + pageGap })
  // What device.copyPages prepares for: the next power of two.
  const problem = copyPagesProblem({ maxPairs: 2 ** Math.ceil(Math.log2(Math.max(pairs, 1))), cache: layout })
  const parts = [
    `n${pairs}of${pages}`,
    `page${pageSize}`,
    headsKv === 1 ? null : `kv${headsKv}`,
    headDim === usualDim ? null : `d${headDim}`,
    pageGap === 0 ? null : `gap${pageGap}`,
    table === 'host' ? null : table,
  ]
  return {
    name: `copy/${format}/${parts.filter((part) => part !== null).join('-')}`,
    problem: () => (pairs > 0 ? problem : null),
    async run(bench) {
      const { random } = bench
      const storage = hostArray(storageDType(layout), storageLength(layout)) as HostArray
      const bytes = bytesOf(storage)
      for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits()
      const ids = random.permutation(pages)
      const list = Int32Array.from({ length: 2 * pairs }, (_, i) => ids[i])
      if (table === 'hostile') {
        for (let i = 0; i < list.length; i += 3) list[i] = random.pick([-1, pages, 2147483647, -2147483648])
      }
      const { cache, flat } = uploadStorage(bench, layout, storage)
      bench.device.copyPages({
        cache,
        pages: table === 'host' ? list : upload(bench, 'i32', [pairs, 2], list),
      })
      const expected = storage.slice() as HostArray
      for (let pair = 0; pair < pairs; pair++) {
        const [from, to] = list.subarray(2 * pair, 2 * pair + 2)
        if (from < 0 || from >= pages || to < 0 || to >= pages) continue
        const begin = from * layout.pageStride
        expected.set(storage.subarray(begin, begin + pageLength(layout)) as never, to * layout.pageStride)
      }
      const found = (await flat.download()) as HostArray
      return [compareBits('cache', bytesOf(expected), bytesOf(found))]
    },
  }
}
