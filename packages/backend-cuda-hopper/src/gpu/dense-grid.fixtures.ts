import { compare, normalArray, Random, TOLERANCES } from '@polymla/conformance'
import { type Device, kvLayout, type Tensor, toFloat32 } from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gpu, openGpu, openOracle, skipped } from './devices.fixtures.js'

type Half = 'bf16' | 'f16'

interface GridCase {
  readonly batch: number
  readonly queryTokens: number
  readonly keys: number
  readonly heads: number
  readonly headsKv: number
  readonly lengths: 'fixed' | 'varlen' | 'half-empty'
  readonly mask: 'none' | 'causal'
}

const HEADS = [1, 3, 9, 63, 64, 126, 128]
const HEADS_KV = [1, 2, 3, 8]
const MASKS = ['none', 'causal'] as const
const QUERY_TOKENS = [1, 2, 4]
/** Elements of the pools that all cases take their keys and queries from. */
const CACHE_POOL = 1.3e9
const QUERY_POOL = 2 ** 25
const UNUSED_PAGE = 2147480000
const NAN = 0xff

/** FlashMLA's dense tests (9241ae3) of one batch and one length. */
function casesOf(
  batch: number,
  keys: number,
  lengths: readonly GridCase['lengths'][],
  queryTokens = QUERY_TOKENS,
) {
  return HEADS.flatMap((heads) =>
    HEADS_KV.filter((headsKv) => heads % headsKv === 0).flatMap((headsKv) =>
      queryTokens.flatMap((s) =>
        lengths.flatMap((kind) =>
          MASKS.map(
            (mask): GridCase => ({ batch, queryTokens: s, keys, heads, headsKv, lengths: kind, mask }),
          ),
        ),
      ),
    ),
  )
}

/** Declares FlashMLA's whole dense grid in one dtype, each case compared with the oracle on the same GPU. */
export function describeDenseGrid(dtype: Half): void {
  describe.skipIf(gpu === null)(`FlashMLA's dense grid in ${dtype}${skipped}`, () => {
    let rig: GridRig
    beforeAll(async () => {
      rig = new GridRig(dtype, await openGpu(), await openOracle())
    })
    afterAll(() => rig?.close())

    for (const batch of [1, 2, 6, 64]) {
      for (const keys of [20, 140, 4096]) {
        const cases = casesOf(batch, keys, ['fixed', 'varlen'])
        it(`batch ${batch}, ${keys} keys: ${cases.length} cases`, { timeout: 600_000 }, () =>
          rig.check(cases),
        )
      }
    }
    const corner = casesOf(128, 4096, ['half-empty'], [2])
    it(`half of 128 requests without keys: ${corner.length} cases`, { timeout: 600_000 }, () =>
      rig.check(corner),
    )
  })
}

class GridRig {
  readonly #dtype: Half
  readonly #device: Device
  readonly #oracle: Device
  readonly #cache: Tensor<Half>
  readonly #queries: Tensor<Half>
  readonly #random = new Random(1, 'dense grid')

  constructor(dtype: Half, device: Device, oracle: Device) {
    this.#dtype = dtype
    this.#device = device
    this.#oracle = oracle
    this.#cache = device.empty({ shape: [CACHE_POOL], dtype })
    this.#queries = device.empty({ shape: [QUERY_POOL], dtype })
    for (const pool of [this.#cache, this.#queries]) this.#fill(pool)
  }

  async close(): Promise<void> {
    this.#cache.dispose()
    this.#queries.dispose()
    await this.#oracle.dispose()
    await this.#device.dispose()
  }

  async check(cases: readonly GridCase[]): Promise<void> {
    const wrong: string[] = []
    for (const testCase of cases) {
      for (const message of await this.#differences(testCase))
        wrong.push(`${JSON.stringify(testCase)} ${message}`)
    }
    expect(wrong).toEqual([])
  }

  #fill(pool: Tensor<Half>): void {
    const block = normalArray(this.#random, this.#dtype, 2 ** 24 - 3, 0.1, 1)
    for (let begin = 0; begin < pool.size; begin += block.length) {
      const end = Math.min(begin + block.length, pool.size)
      pool.slice(0, begin, end).write(block.subarray(0, end - begin))
    }
  }

  async #differences(testCase: GridCase): Promise<string[]> {
    const { batch, queryTokens, heads, headsKv, mask } = testCase
    const dtype = this.#dtype
    const random = this.#random
    const lengths = this.#lengths(testCase)
    const layout = kvLayout({
      format: dtype === 'bf16' ? 'bf16' : 'fp16',
      pages: Math.floor(CACHE_POOL / (64 * headsKv * 576)),
      headsKv,
    })
    const view = [layout.pages, 64, headsKv, 576]
    const pages = this.#cache.view(view)
    const { table, width, tails } = placePages(random, lengths, layout.pages)
    const shape = [batch, queryTokens, heads, 576]
    const offset = 8 * random.integer(0, Math.floor((QUERY_POOL - shape.reduce((a, b) => a * b)) / 8))
    const q = this.#queries.view(shape, { offset })
    // What lies past the end of a request must not reach a result.
    for (const { page, tokens } of tails)
      pages
        .slice(0, page, page + 1)
        .slice(1, tokens, 64)
        .fillBytes(NAN)

    const step = { seqlens: lengths, blockTable: table }
    const options = {
      ...{ maxBatch: batch, queryTokens, heads, cache: layout, blockTableWidth: width, mask },
      softmaxScale: 576 ** -0.5,
    }
    const outShape = [batch, queryTokens, heads, 512]
    const lseShape = [batch, heads, queryTokens]
    const decode = async (device: Device, outDtype: Half | 'f32', own: boolean) => {
      using plan = device.planDecode({ ...options, outDtype })
      using out = device.empty({ shape: outShape, dtype: outDtype })
      using lse = device.empty({ shape: lseShape, dtype: 'f32' })
      out.fillBytes(NAN)
      lse.fillBytes(NAN)
      const wrapped = (tensor: Tensor<Half>, shape: readonly number[]) =>
        own ? tensor : device.wrap({ pointer: tensor.pointer as bigint, shape, dtype, owner: tensor })
      plan.update(step)
      plan.run({ q: wrapped(q, shape), cache: device.adoptKvStorage(wrapped(pages, view), layout), out, lse })
      const [foundOut, foundLse] = await Promise.all([out.download(), lse.download()])
      return { out: toFloat32(foundOut as never, outDtype), lse: foundLse }
    }
    const found = await decode(this.#device, dtype, true)
    const expected = await decode(this.#oracle, 'f32', false)
    for (const { page, tokens } of tails) {
      const tail = pages.slice(0, page, page + 1).slice(1, tokens, 64)
      tail.write(normalArray(random, dtype, tail.size, 0.1, 1))
    }
    const { dense } = TOLERANCES
    const comparisons = [
      compare('out', expected.out, found.out, dense.out),
      compare('lse', expected.lse, found.lse, dense.lse),
    ]
    return comparisons.flatMap(({ message }) => (message === null ? [] : [message]))
  }

  #lengths({ batch, keys, queryTokens, lengths }: GridCase): Int32Array {
    const random = this.#random
    const varlen = () => Math.max(Math.floor(keys + (keys / 2) * random.normal()), queryTokens)
    return Int32Array.from({ length: batch }, () => {
      if (lengths === 'fixed') return keys
      return lengths === 'half-empty' && random.chance(0.5) ? 0 : varlen()
    })
  }
}

/** Pages in random order, shared where there are too few; a page that a request only begins is its own. */
function placePages(random: Random, lengths: Int32Array, pages: number) {
  const counts = Array.from(lengths, (length) => Math.ceil(length / 64))
  const width = Math.max(...counts, 0) + 1
  const table = new Int32Array(lengths.length * width).fill(UNUSED_PAGE)
  const ids = random.permutation(pages)
  const tails: { page: number; tokens: number }[] = []
  const full = pages - lengths.length
  let next = 0
  lengths.forEach((length, request) => {
    for (let column = 0; column < counts[request]; column++) {
      const tokens = length - column * 64
      const page = tokens < 64 ? ids[full + request] : ids[next++ % full]
      table[request * width + column] = page
      if (tokens < 64) tails.push({ page, tokens })
    }
  })
  return { table, width, tails }
}
