import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  buildSchedule,
  lengthsArbitrary,
  overheadArbitrary,
  partitionCosts,
  partitionsArbitrary,
} from './schedule.fixtures.js'
import type { ScheduleParams } from './schedule.js'

type BatchInvariantParams = ScheduleParams & { readonly splitPages: number }

const paramsArbitrary: fc.Arbitrary<BatchInvariantParams> = fc.record({
  partitions: partitionsArbitrary,
  pageSize: fc.constantFrom(64, 16, 7),
  fixedOverhead: overheadArbitrary,
  splitPages: fc.oneof(
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 100 }),
    fc.constant(2 ** 31 - 1),
  ),
})
const problemArbitrary = fc.record({ lengths: lengthsArbitrary(2000), params: paramsArbitrary })

interface Split {
  readonly request: number
  readonly split: number
  readonly begin: number
  readonly end: number
  readonly cost: number
}

/** Every split of the batch, in order. */
function listSplits(
  lengths: number[],
  { pageSize, splitPages, fixedOverhead }: BatchInvariantParams,
): Split[] {
  return lengths.flatMap((length, request) => {
    const pages = Math.ceil(length / pageSize)
    if (pages === 0) return [{ request, split: 0, begin: 0, end: 0, cost: 1 + fixedOverhead }]
    const splits: Split[] = []
    for (let begin = 0; begin < pages; begin += splitPages) {
      const end = Math.min(begin + splitPages, pages)
      splits.push({ request, split: splits.length, begin, end, cost: end - begin + fixedOverhead })
    }
    return splits
  })
}

/** Deals the splits out in order, opening a partition whenever the next one would exceed the payload. */
function deal(splits: Split[], payload: number): Split[][] {
  const hands: Split[][] = [[]]
  let cost = 0
  for (const split of splits) {
    if (cost + split.cost > payload) {
      hands.push([])
      cost = 0
    }
    hands.at(-1)?.push(split)
    cost += split.cost
  }
  return hands
}

/** Smallest worst cost over every way to place the costs, in order, into at most `partitions` runs. */
function optimalWorst(costs: number[], partitions: number): number {
  let best = costs.map((_, index) => costs.slice(0, index + 1).reduce((sum, cost) => sum + cost, 0))
  for (let used = 2; used <= partitions; used++) {
    best = costs.map((_, last) => {
      let run = 0
      let worst = best[last]
      for (let first = last; first > 0; first--) {
        run += costs[first]
        worst = Math.min(worst, Math.max(run, best[first - 1]))
      }
      return worst
    })
  }
  return best.at(-1) ?? 0
}

describe('the batch-invariant schedule', () => {
  it('equals dealing out the splits one by one with the smallest payload that suffices', () => {
    fc.assert(
      fc.property(problemArbitrary, ({ lengths, params }) => {
        const splits = listSplits(lengths, params)
        const costs = splits.map((split) => split.cost)
        const mean = costs.reduce((sum, cost) => sum + cost, 0) / params.partitions
        let payload = Math.max(Math.ceil(mean), ...costs)
        while (deal(splits, payload).length > params.partitions) payload++
        const hands = splits.length === 0 ? [] : deal(splits, payload)

        const counts = lengths.map((_, request) => splits.filter((split) => split.request === request).length)
        const last = splits.at(-1)
        const idle = [lengths.length, lengths.length - 1, 0, last?.end ?? 0, 0, 0, 0, 0]
        const rows = Array.from({ length: params.partitions }, (_, partition) => {
          const from = hands[partition]?.[0]
          const to = hands[partition]?.at(-1)
          if (!from || !to) return idle
          const flags = [Number(counts[from.request] > 1), Number(counts[to.request] > 1)]
          return [from.request, to.request, from.begin, to.end, from.split, ...flags, 0]
        })
        const built = buildSchedule(lengths, params)
        expect(built.rows).toEqual(rows)
        expect(built.numSplits[0]).toBe(0)
        expect(counts.map((_, request) => built.numSplits[request + 1] - built.numSplits[request])).toEqual(
          counts,
        )
        expect(built.splits).toBe(splits.length)
        expect(
          built.pieces.map(({ request, split, beginPage, endPage, partition }) => ({
            partition,
            request,
            split,
            begin: beginPage,
            end: endPage,
          })),
        ).toEqual(
          hands.flatMap((hand, partition) =>
            hand.map(({ request, split, begin, end }) => ({ partition, request, split, begin, end })),
          ),
        )
      }),
      { numRuns: 2000 },
    )
  })

  it('has the cheapest worst partition of all placements in order', () => {
    const small = fc.record({
      lengths: fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 8 }),
      params: fc.record({
        partitions: fc.integer({ min: 1, max: 6 }),
        pageSize: fc.constant(16),
        fixedOverhead: overheadArbitrary,
        splitPages: fc.integer({ min: 1, max: 12 }),
      }),
    })
    fc.assert(
      fc.property(small, ({ lengths, params }) => {
        const costs = listSplits(lengths, params).map((split) => split.cost)
        const worst = Math.max(...partitionCosts(buildSchedule(lengths, params).pieces, params))
        expect(worst).toBe(optimalWorst(costs, params.partitions))
      }),
      { numRuns: 500 },
    )
  })

  it('costs no partition as much as the mean plus the largest split', () => {
    fc.assert(
      fc.property(
        problemArbitrary.filter(({ lengths }) => lengths.length > 0),
        ({ lengths, params }) => {
          const costs = listSplits(lengths, params).map((split) => split.cost)
          const mean = costs.reduce((sum, cost) => sum + cost, 0) / params.partitions
          const worst = Math.max(...partitionCosts(buildSchedule(lengths, params).pieces, params))
          expect(worst).toBeLessThan(mean + Math.max(...costs))
        },
      ),
    )
  })

  it('cuts a request the same way alone, in any batch and on any number of partitions', () => {
    const pagesOf = (lengths: number[], request: number, params: BatchInvariantParams) =>
      buildSchedule(lengths, params)
        .pieces.filter((piece) => piece.request === request)
        .map(({ split, splits, beginPage, endPage }) => ({ split, splits, beginPage, endPage }))
    fc.assert(
      fc.property(
        problemArbitrary,
        fc.integer({ min: 0, max: 20_000 }),
        fc.nat(),
        ({ lengths, params }, length, place) => {
          const at = place % (lengths.length + 1)
          const batch = [...lengths.slice(0, at), length, ...lengths.slice(at)]
          expect(pagesOf(batch, at, params)).toEqual(pagesOf([length], 0, { ...params, partitions: 1 }))
        },
      ),
    )
  })
})
