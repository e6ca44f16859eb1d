import {
  type AppendKvProblem,
  appendKvProblem,
  type HostArray,
  hostArray,
  type KvFormat,
  type KvLayout,
  kvLayout,
  pageLength,
  readToken,
  storageDType,
  storageLength,
} from '@polymla/core'
import { type Comparison, compare, compareBits } from '../compare.js'
import { type AppendExpected, type AppendInputs, appendOracle } from '../oracle/append-kv.js'
import { normalArray, type Random } from '../random.js'
import { STORED } from '../tolerances.js'
import type { Bench, Case } from './case.js'
import { upload, uploadStorage, uploadStrided } from './device-io.js'
import { bytesOf } from './host-cache.js'

/** An append, as grids describe it. */
export interface AppendSpec {
  readonly format: KvFormat
  readonly tokens: number
  readonly pageSize: number
  readonly pages: number
  readonly headsKv: number
  readonly headDim: number
  readonly ropeDim: number
  readonly dtype: AppendKvProblem['dtype']
  readonly rotary: AppendKvProblem['rotary']
  readonly pageGap: number
  readonly strided: boolean
  /** Where slots and positions lie. `hostile`: on the device, some slots outside the cache. */
  readonly slots: 'host' | 'hostile'
  /** Of an e4m3 cache. */
  readonly descaleK: number
}

const DEFAULTS: Omit<AppendSpec, 'headDim'> = {
  format: 'bf16',
  tokens: 9,
  pageSize: 64,
  pages: 4,
  headsKv: 1,
  ropeDim: 64,
  dtype: 'bf16',
  rotary: 'none',
  pageGap: 0,
  strided: false,
  slots: 'host',
  descaleK: 1,
}

const TABLE_LENGTH = 97

/** E.g. `append/e4m3/t9-page64-kv1-d576r64-bf16-interleaved`. */
function appendName(spec: AppendSpec): string {
  const parts = [
    `t${spec.tokens}`,
    `page${spec.pageSize}`,
    `kv${spec.headsKv}`,
    `d${spec.headDim}r${spec.ropeDim}`,
    spec.dtype,
    spec.rotary === 'none' ? null : spec.rotary,
    spec.pageGap === 0 ? null : `gap${spec.pageGap}`,
    spec.strided ? 'strided' : null,
    spec.slots === 'host' ? null : spec.slots,
    spec.descaleK === 1 ? null : `descale${spec.descaleK}`,
  ]
  return `append/${spec.format}/${parts.filter((part) => part !== null).join('-')}`
}

/** A case of `appendKv`: the whole cache afterwards, gaps included, against the oracle. */
export function appendCase(given: Partial<AppendSpec>): Case {
  const spec: AppendSpec = { ...DEFAULTS, headDim: given.format === 'fp8-584' ? 512 : 576, ...given }
  const { format, pages, pageSize, headsKv, headDim } = spec
  const packed = kvLayout({ format, pages, pageSize, headsKv, headDim })
  const layout =
    spec.pageGap === 0 ? packed : kvLayout({ ...packed, pageStride: pageLength(packed) + spec.pageGap })
  const problem = appendKvProblem({
    // What device.appendKv prepares for: the next power of two.
    maxTokens: 2 ** Math.ceil(Math.log2(Math.max(spec.tokens, 1))),
    cache: layout,
    ropeDim: spec.ropeDim,
    dtype: spec.dtype,
    rotary: spec.rotary,
    ...(spec.rotary === 'none' ? {} : { tableLength: TABLE_LENGTH }),
  })
  return {
    name: appendName(spec),
    problem: () => (spec.tokens > 0 ? problem : null),
    async run(bench) {
      const inputs = bench.shared('inputs', (random) => appendInputs(spec, problem, random))
      const { cache, flat } = uploadStorage(bench, layout, inputs.storage)
      launch(bench, spec, inputs, cache)
      const download = flat.download()
      const expected = bench.shared('cache', () => appendOracle(inputs))
      return compareCaches(inputs, expected, (await download) as HostArray)
    },
  }
}

function appendInputs(spec: AppendSpec, problem: AppendKvProblem, random: Random): AppendInputs {
  const { tokens, dtype } = spec
  const { cache, ropeDim, rotary, tableLength } = problem
  const rows = tokens * cache.headsKv
  const storage = hostArray(storageDType(cache), storageLength(cache)) as HostArray
  const bytes = bytesOf(storage)
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits()
  const order = random.permutation(cache.pages * cache.pageSize)
  const noSlot = [-1, -2147483648, 2147483647, order.length] as const
  const hidden = () => spec.slots === 'hostile' && random.chance(0.3)
  return {
    problem,
    tokens,
    latent: normalArray(random, dtype, rows * (cache.headDim - ropeDim), 1),
    ropeKey: ropeDim === 0 ? null : normalArray(random, dtype, rows * ropeDim, 1),
    slots: Int32Array.from({ length: tokens }, (_, i) =>
      hidden() ? random.pick(noSlot) : i % 4 === 3 ? -1 : order[i],
    ),
    positions:
      rotary === 'none'
        ? null
        : Int32Array.from({ length: tokens }, () => random.integer(0, tableLength - 1)),
    table: rotary === 'none' ? null : rotaryTable(tableLength, ropeDim),
    storage,
    descaleK: spec.descaleK,
  }
}

/** Cosines and sines of position · 10000^(−2i / ropeDim), as every rotary embedding has them. */
function rotaryTable(length: number, ropeDim: number): Float32Array {
  const pairs = ropeDim / 2
  return Float32Array.from({ length: length * ropeDim }, (_, at) => {
    const column = at % ropeDim
    const angle = Math.floor(at / ropeDim) * 10000 ** (-(column % pairs) / pairs)
    return column < pairs ? Math.cos(angle) : Math.sin(angle)
  })
}

function launch(
  bench: Bench,
  spec: AppendSpec,
  inputs: AppendInputs,
  cache: Parameters<Bench['device']['appendKv']>[0]['cache'],
): void {
  const { tokens, problem, positions, table } = inputs
  const { headsKv, headDim } = problem.cache
  const { ropeDim, dtype, rotary } = problem
  const place = spec.strided ? uploadStrided : upload
  const integers = (data: Int32Array) => (spec.slots === 'host' ? data : upload(bench, 'i32', [tokens], data))
  bench.device.appendKv({
    latent: place(bench, dtype, [tokens, headsKv, headDim - ropeDim], inputs.latent),
    ropeKey: inputs.ropeKey && place(bench, dtype, [tokens, headsKv, ropeDim], inputs.ropeKey),
    slots: integers(inputs.slots),
    cache,
    rotary:
      rotary !== 'none' && positions && table
        ? {
            style: rotary,
            table: upload(bench, 'f32', [problem.tableLength, ropeDim], table),
            positions: integers(positions),
          }
        : null,
    descaleK: inputs.descaleK,
  })
}

/**
 * Bit for bit, except for numbers that arithmetic in another precision may round to the other side: rotated keys, and
 * everything where the scale is no power of two. Those may be half a step of the stored format from the exact result.
 */
function compareCaches(inputs: AppendInputs, expected: AppendExpected, found: HostArray): Comparison[] {
  const { cache, rotary, ropeDim } = inputs.problem
  const exactScale = cache.format !== 'e4m3' || Number.isInteger(Math.log2(inputs.descaleK))
  const exactDim = !exactScale ? 0 : rotary === 'none' ? cache.headDim : cache.headDim - ropeDim
  const places = writtenPlaces(inputs)
  const exact = (storage: HostArray) => {
    const copy = storage.slice() as HostArray
    for (const { page, offset } of places) clearToken(cache, copy, page, offset, exactDim)
    return bytesOf(copy)
  }
  const bits = compareBits('cache', exact(expected.storage), exact(found))
  if (exactDim === cache.headDim) return [bits]

  const row = new Float64Array(cache.headDim)
  const inexact = cache.headDim - exactDim
  const expectedNumbers = new Float64Array(expected.keys.length * inexact)
  const foundNumbers = new Float64Array(expectedNumbers.length)
  expected.keys.forEach((key, i) => {
    const { page, offset } = places[Math.floor(i / cache.headsKv)]
    readToken(cache, found, page, offset, i % cache.headsKv, row, 0, inputs.descaleK)
    expectedNumbers.set(key.subarray(exactDim), i * inexact)
    foundNumbers.set(row.subarray(exactDim), i * inexact)
  })
  // The formats with scales of their own keep rope in bf16.
  const tolerance = cache.format.startsWith('fp8') ? STORED.bf16 : STORED[cache.format as keyof typeof STORED]
  return [bits, compare('appended keys', expectedNumbers, foundNumbers, tolerance)]
}

function writtenPlaces({ problem, slots }: AppendInputs): { page: number; offset: number }[] {
  const { pages, pageSize } = problem.cache
  const inside = Array.from(slots).filter((slot) => slot >= 0 && slot < pages * pageSize)
  return inside.map((slot) => ({ page: Math.floor(slot / pageSize), offset: slot % pageSize }))
}

/** Zeroes a token's numbers from `dim` on, and the byte of `fp8-584` that means nothing. */
function clearToken(layout: KvLayout, storage: HostArray, page: number, offset: number, dim: number): void {
  const { format, pageSize, headsKv, headDim } = layout
  const start = page * layout.pageStride
  const clear = (begin: number, from: number, end: number) => storage.fill(0, begin + from, begin + end)
  if (format === 'fp8-584') {
    clear(start + offset * 576, dim === headDim ? 576 : dim, 576)
    storage[start + pageSize * 576 + offset * 8 + 7] = 0
  } else if (format === 'fp8-656') {
    clear(start + offset * 656, dim === headDim ? 656 : dim + 16, 656)
  } else {
    for (let head = 0; head < headsKv; head++) {
      clear(start + (offset * headsKv + head) * headDim, dim, headDim)
    }
  }
}
