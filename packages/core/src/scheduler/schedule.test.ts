import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPolymlaError } from '../errors.js'
import { SCHEDULE_STRIDE } from './layout.js'
import {
  buildSchedule,
  lengthsArbitrary,
  overheadArbitrary,
  pageSizeArbitrary,
  partitionCosts,
  partitionsArbitrary,
} from './schedule.fixtures.js'
import { computeSchedule, type ScheduleParams } from './schedule.js'

const INT32_MAX = 2 ** 31 - 1
const FLASHMLA = { pageSize: 64, fixedOverhead: 5 }

const problemArbitrary = fc.record({
  lengths: fc.oneof(lengthsArbitrary(20_000), lengthsArbitrary(INT32_MAX)),
  params: fc.record({
    partitions: partitionsArbitrary,
    pageSize: pageSizeArbitrary,
    fixedOverhead: overheadArbitrary,
  }),
})

/** The published algorithm, statement by statement; exact integers where its int32 would overflow. */
function flashMlaSchedule(lengths: number[], { partitions, pageSize, fixedOverhead }: ScheduleParams) {
  const n = lengths.map((length) => Math.max(Math.ceil(length / pageSize), 1))
  const total = n.reduce((sum, pages) => sum + BigInt(pages + fixedOverhead), 0n)
  const payload = Number((total + BigInt(partitions) - 1n) / BigInt(partitions)) + fixedOverhead
  const rows: number[][] = []
  const numSplits = [0]
  const pieces: { partition: number; request: number; split: number; pages: [number, number] }[] = []
  let request = 0
  let block = 0
  let split = 0
  let cumulative = 0
  for (let partition = 0; partition < partitions; partition++) {
    const begin = { request, block, split }
    let remaining = payload
    while (request < lengths.length) {
      const left = n[request] - block
      const end = lengths[request] === 0 ? 0 : n[request]
      if (remaining >= left + fixedOverhead) {
        pieces.push({ partition, request, split, pages: [block, end] })
        cumulative += split + 1
        numSplits.push(cumulative)
        remaining -= left + fixedOverhead
        request += 1
        block = 0
        split = 0
      } else if (remaining > fixedOverhead) {
        const taken = remaining - fixedOverhead
        pieces.push({ partition, request, split, pages: [block, block + taken] })
        block += taken
        split += 1
        break
      } else {
        break
      }
    }
    const endRequest = block > 0 ? request : request - 1
    const lastPages = lengths[endRequest] > 0 ? n[endRequest] : 0
    const endBlock = block > 0 ? block : lastPages
    let firstIsSplit = begin.block !== 0
    let lastIsSplit = endRequest >= 0 && endBlock !== n[endRequest] && lengths[endRequest] !== 0
    if (begin.request === endRequest) firstIsSplit = lastIsSplit = firstIsSplit || lastIsSplit
    const flags = [Number(firstIsSplit), Number(lastIsSplit)]
    rows.push([begin.request, endRequest, begin.block, endBlock, begin.split, ...flags, 0])
  }
  expect({ request, block, split }).toEqual({ request: lengths.length, block: 0, split: 0 })
  return { rows, numSplits, pieces }
}

describe("FlashMLA's schedule", () => {
  it('equals the published algorithm on any batch and parameters', () => {
    fc.assert(
      fc.property(problemArbitrary, ({ lengths, params }) => {
        const expected = flashMlaSchedule(lengths, params)
        const built = buildSchedule(lengths, params)
        expect(built.rows).toEqual(expected.rows)
        expect(built.numSplits).toEqual(expected.numSplits)
        expect(
          built.pieces.map(({ partition, request, split, beginPage, endPage }) => ({
            partition,
            request,
            split,
            pages: [beginPage, endPage],
          })),
        ).toEqual(expected.pieces)
      }),
      { numRuns: 3000 },
    )
  })

  it('is, worked by hand, two requests of 13 and 1 pages and an empty one on three partitions', () => {
    // Σ(n + 5) = 18 + 6 + 6 = 30, payload = 10 + 5: 10 pages, then 3 pages (8) + 1 page (6), then the empty one.
    const built = buildSchedule([800, 64, 0], { partitions: 3, ...FLASHMLA })
    expect(built.rows).toEqual([
      [0, 0, 0, 10, 0, 1, 1, 0],
      [0, 1, 10, 1, 1, 1, 0, 0],
      [2, 2, 0, 0, 0, 0, 0, 0],
    ])
    expect(built.numSplits).toEqual([0, 2, 3, 4])
    expect(built.splits).toBe(4)
  })

  it('keeps every partition within the payload, and busy ones but the last within one overhead of it', () => {
    fc.assert(
      fc.property(problemArbitrary, ({ lengths, params }) => {
        const { partitions, pageSize, fixedOverhead } = params
        const total = lengths.reduce(
          (sum, length) => sum + Math.max(Math.ceil(length / pageSize), 1) + fixedOverhead,
          0,
        )
        const payload = Math.ceil(total / partitions) + fixedOverhead
        const { pieces } = buildSchedule(lengths, params)
        const costs = partitionCosts(pieces, params)
        const lastBusy = pieces.at(-1)?.partition ?? 0
        expect(Math.max(...costs)).toBeLessThanOrEqual(payload)
        for (const cost of costs.slice(0, lastBusy))
          expect(cost).toBeGreaterThanOrEqual(payload - fixedOverhead)
        expect(Math.max(...costs.slice(lastBusy + 1), 0)).toBe(0)
      }),
    )
  })

  it('needs at most batch + partitions − 1 splits, which one long request among idle partitions reaches', () => {
    fc.assert(
      fc.property(problemArbitrary, ({ lengths, params }) => {
        const { splits, numSplits } = buildSchedule(lengths, params)
        expect(splits).toBe(numSplits.at(-1))
        expect(splits).toBeLessThanOrEqual(Math.max(lengths.length + params.partitions - 1, 0))
      }),
    )
    expect(buildSchedule([64 * 1000], { partitions: 10, ...FLASHMLA }).splits).toBe(10)
  })
})

describe.each([
  ["FlashMLA's schedule", 0],
  ['the batch-invariant schedule', 16],
])('%s', (_name, splitPages) => {
  const params = { partitions: 132, ...FLASHMLA, splitPages }

  it('is idle on every partition for a batch of 0', () => {
    const { rows, numSplits, splits, pieces } = buildSchedule([], { ...params, partitions: 2 })
    expect(rows).toEqual([
      [0, -1, 0, 0, 0, 0, 0, 0],
      [0, -1, 0, 0, 0, 0, 0, 0],
    ])
    expect({ numSplits, splits, pieces }).toEqual({ numSplits: [0], splits: 0, pieces: [] })
  })

  it('makes idle the partitions without work and the rows past the last partition', () => {
    const { rows } = buildSchedule([100, 0], { ...params, partitions: 4 }, 2)
    const idle = [2, 1, 0, 0, 0, 0, 0, 0]
    expect(rows).toEqual([[0, 0, 0, 2, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0], idle, idle, idle, idle])
    const afterPages = buildSchedule([0, 100], { ...params, partitions: 3 }).rows.at(-1)
    expect(afterPages).toEqual([2, 1, 0, 2, 0, 0, 0, 0])
  })

  it('visits each of 20,000 empty requests once', () => {
    const { pieces, splits } = buildSchedule(new Int32Array(20_000), params)
    expect(splits).toBe(20_000)
    expect(pieces.map((piece) => piece.request)).toEqual(
      Array.from({ length: 20_000 }, (_, request) => request),
    )
    expect(pieces.every((piece) => piece.beginPage === 0 && piece.endPage === 0 && piece.splits === 1)).toBe(
      true,
    )
  })

  it('covers 20,000 requests of 2^31 − 1 tokens', () => {
    const long = { ...params, splitPages: splitPages * 2 ** 17 }
    const { pieces } = buildSchedule(new Int32Array(20_000).fill(INT32_MAX), long)
    const covered = new Float64Array(20_000)
    for (const { request, beginPage, endPage } of pieces) {
      if (covered[request] !== beginPage) expect.fail(`request ${request} resumes at page ${beginPage}`)
      covered[request] = endPage
    }
    expect(covered.every((pages) => pages === 33_554_432)).toBe(true)
    const mean = pieces.reduce((sum, piece) => sum + piece.endPage - piece.beginPage + 5, 0) / 132
    expect(Math.max(...partitionCosts(pieces, long)) / mean).toBeLessThan(1.001)
  })

  it('takes buffers sized for a larger batch, whose further entries it neither reads nor writes', () => {
    const schedule = new Int32Array(2 * SCHEDULE_STRIDE)
    const numSplits = new Int32Array(5).fill(9)
    computeSchedule(new Int32Array([1, 1, 500]), 2, { ...params, partitions: 1 }, schedule, numSplits)
    expect(Array.from(schedule)).toEqual([0, 1, 0, 1, 0, 0, 0, 0, 2, 1, 0, 1, 0, 0, 0, 0])
    expect(Array.from(numSplits)).toEqual([0, 1, 2, 9, 9])
  })
})

describe('computeSchedule refuses', () => {
  const good = { partitions: 2, pageSize: 64, fixedOverhead: 5, splitPages: 4 }
  const lengths = new Int32Array([1, 64])
  const cases: [
    path: string,
    lengths: Int32Array,
    batch: number,
    params: object,
    rows?: number,
    prefixes?: number,
  ][] = [
    ['lengths[1]', new Int32Array([1, -1]), 2, {}],
    ['lengths', lengths, 3, {}, 2, 4],
    ['lengths', [1, 64] as unknown as Int32Array, 2, {}],
    ['lengths', undefined as unknown as Int32Array, 2, {}],
    ['batch', lengths, -1, {}],
    ['batch', lengths, 1.5, {}],
    ['params.partitions', lengths, 2, { partitions: 0 }],
    ['params.partitions', lengths, 2, { partitions: Number.NaN }],
    ['params.pageSize', lengths, 2, { pageSize: 0 }],
    ['params.fixedOverhead', lengths, 2, { fixedOverhead: -1 }],
    ['params.fixedOverhead', lengths, 2, { fixedOverhead: 0.5 }],
    ['params.splitPages', lengths, 2, { splitPages: -1 }],
    ['params.splitPages', new Int32Array(65).fill(INT32_MAX), 65, { splitPages: 1 }, 2, 66],
    [
      'params.fixedOverhead',
      new Int32Array(65).fill(INT32_MAX),
      65,
      { splitPages: 2, fixedOverhead: INT32_MAX },
      2,
      66,
    ],
    ['schedule', lengths, 2, {}, 1],
    ['numSplits', lengths, 2, {}, 2, 2],
  ]

  it.each(cases)(
    '%s, case %#, before anything is written',
    (path, tokens, batch, change, rows = 2, prefixes = 3) => {
      const schedule = new Int32Array(rows * SCHEDULE_STRIDE).fill(9)
      const numSplits = new Int32Array(prefixes).fill(9)
      let caught: unknown
      try {
        computeSchedule(tokens, batch, { ...good, ...change }, schedule, numSplits)
      } catch (error) {
        caught = error
      }
      expect(isPolymlaError(caught, 'POLYMLA_INVALID_ARGUMENT')).toBe(true)
      expect(caught).toMatchObject({ path })
      expect([...schedule, ...numSplits].every((entry) => entry === 9)).toBe(true)
    },
  )
})
