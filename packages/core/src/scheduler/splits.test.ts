import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  buildSchedule,
  lengthsArbitrary,
  overheadArbitrary,
  pageSizeArbitrary,
  partitionsArbitrary,
} from './schedule.fixtures.js'
import { computeSchedule } from './schedule.js'
import { forEachSplit } from './splits.js'

describe('forEachSplit', () => {
  it('visits every page of every request once and in order, with dense split indices and slots', () => {
    const problem = fc.record({
      lengths: lengthsArbitrary(20_000),
      params: fc.record({
        partitions: partitionsArbitrary,
        pageSize: pageSizeArbitrary,
        fixedOverhead: overheadArbitrary,
        splitPages: fc.constantFrom(0, 4, 50),
      }),
    })
    fc.assert(
      fc.property(problem, ({ lengths, params }) => {
        const { pieces, numSplits, splits } = buildSchedule(lengths, params)
        let visited = 0
        lengths.forEach((length, request) => {
          let page = 0
          let split = 0
          do {
            const piece = pieces[visited]
            if (piece.request !== request || piece.beginPage !== page || piece.split !== split) {
              expect(piece).toMatchObject({ request, beginPage: page, split })
            }
            if (piece.slot !== visited || piece.splits !== numSplits[request + 1] - numSplits[request]) {
              expect(piece).toMatchObject({
                slot: visited,
                splits: numSplits[request + 1] - numSplits[request],
              })
            }
            if (length > 0 && piece.endPage <= page) expect.fail(`an empty piece of request ${request}`)
            page = piece.endPage
            split++
            visited++
          } while (page < Math.ceil(length / params.pageSize))
          expect(page).toBe(Math.ceil(length / params.pageSize))
          expect(split).toBe(numSplits[request + 1] - numSplits[request])
        })
        expect(visited).toBe(pieces.length)
        expect(visited).toBe(splits)
        expect(
          pieces.every((piece, index) => index === 0 || piece.partition >= pieces[index - 1].partition),
        ).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('reads no row past the given partitions', () => {
    const params = { partitions: 2, pageSize: 64, fixedOverhead: 5 }
    const lengths = new Int32Array([6400])
    const schedule = new Int32Array(16)
    const numSplits = new Int32Array(2)
    computeSchedule(lengths, 1, params, schedule, numSplits)
    const partitions: number[] = []
    forEachSplit(schedule, 1, numSplits, lengths, params, (piece) => partitions.push(piece.partition))
    expect(partitions).toEqual([0])
  })

  const refuse = (path: string, row: number[], lengths: Int32Array, partitions = 1, params: object = {}) => {
    const visit = () => expect.fail('visited a piece of a broken schedule')
    const read = () =>
      forEachSplit(
        new Int32Array([...row, 0, 0, 0, 0]),
        partitions,
        new Int32Array([0, 1, 2]),
        lengths,
        { pageSize: 64, ...params },
        visit,
      )
    expect(read).toThrow(expect.objectContaining({ code: 'POLYMLA_INVALID_ARGUMENT', path }))
  }

  it.each([
    ['a request before the first', [-1, 0, 0, 1], [64, 64]],
    ['a request past the last length', [0, 1, 0, 1], [64]],
    ['a request past the prefix sums', [0, 2, 0, 1], [64, 64, 64]],
    ['a page before the first', [0, 0, -1, 1], [64, 64]],
    ['pages in reverse', [0, 0, 2, 1], [640, 64]],
    ['pages past the length', [0, 0, 0, 2], [64, 64]],
    ['no pages of a request that has some', [0, 0, 0, 0], [64, 64]],
    ['a negative length', [0, 0, 0, 0], [-64, 64]],
  ])('refuses a row with %s', (_what, row, lengths) => {
    refuse('schedule row 0', row, Int32Array.from(lengths))
  })

  it('refuses arguments out of range', () => {
    const row = [0, 0, 0, 1]
    const lengths = new Int32Array([64])
    refuse('schedule', row, lengths, 2)
    refuse('partitions', row, lengths, -1)
    refuse('params.pageSize', row, lengths, 1, { pageSize: 0 })
    refuse('params.splitPages', row, lengths, 1, { splitPages: -1 })
  })
})
