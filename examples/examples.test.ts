import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

/** Runs an example and returns what it printed, line by line. */
async function linesOf(name: string): Promise<string[]> {
  const lines: string[] = []
  using _log = vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(line))
  using _warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  await import(new URL(`./${name}.mjs`, import.meta.url).href)
  return lines
}

const numbersIn = (line: string) => [...line.matchAll(/-?\d+\.\d+|-?Infinity/g)].map(([text]) => Number(text))

describe('examples', () => {
  beforeAll(() => vi.stubEnv('POLYMLA_DEVICE', 'reference')) // what they print is compared closely
  afterAll(() => vi.unstubAllEnvs())

  it('decode-loop: a fork shares pages until it writes, and its parent keeps its results', async () => {
    const lines = await linesOf('decode-loop')
    const [heads, results] = [0, 1].map((part) => lines.map((line) => line.split(': ')[part]))
    expect(heads).toEqual([
      '121 tokens on pages 0,1',
      '122 tokens on pages 0,1',
      '123 tokens on pages 0,1',
      'parent on pages 0,1, fork on 0,1',
      'parent on pages 0,1, fork on 0,2',
    ])
    const [first, second, third] = results
    const [shared, copied] = results.slice(3).map((pair) => pair.split(' | '))
    expect(new Set([first, second, third]).size).toBe(3)
    expect(shared).toEqual([third, third])
    expect(copied[0]).toBe(third)
    expect(copied[1]).not.toBe(third)
  })

  it('sparse-decode: a sink of the size of the lse halves the output and leaves the lse', async () => {
    const [head, ...sinks] = await linesOf('sparse-decode')
    expect(head).toBe('112 of 1000 tokens in a list of 128')
    const [without, half, all] = sinks.map(numbersIn)
    const lse = without[4]
    expect([without[0], half[0], all[0]]).toEqual([-Infinity, lse, Infinity])
    expect([half[4], all[4]]).toEqual([lse, lse])
    for (const i of [1, 2, 3]) expect(half[i]).toBeCloseTo(without[i] / 2, 3)
    expect(all.slice(1, 4)).toEqual([0, 0, 0])
  })

  it('split-and-merge: two halves make the whole', async () => {
    const [logSums, merged, difference] = await linesOf('split-and-merge')
    const [first, second, whole] = numbersIn(logSums)
    expect(Math.log(Math.exp(first) + Math.exp(second))).toBeCloseTo(whole, 3)
    expect(numbersIn(merged)).toEqual([whole])
    expect(Number(/differ by (\S+) at most/.exec(difference)?.[1])).toBeLessThan(1e-5)
  })

  it("from-flash-mla: FlashMLA's shapes", async () => {
    const lines = await linesOf('from-flash-mla')
    expect(lines).toHaveLength(2)
    for (const [i, line] of lines.entries()) {
      expect(line).toMatch(new RegExp(`^layer ${i}: out \\[2,2,16,512\\], lse \\[2,16,2\\] \\d+\\.\\d{4}$`))
    }
    expect(lines[0].slice(-6)).not.toBe(lines[1].slice(-6))
  })

  it('graph-replay: replays see each update, padding is empty, lengths that moved on are an error', async () => {
    const lines = await linesOf('graph-replay')
    const steps = lines.slice(0, 3)
    expect(steps.map((line) => line.split(': ')[0])).toEqual([
      'lengths 101,201',
      'lengths 102,202',
      'lengths 103,203',
    ])
    const rows = steps.map(numbersIn)
    for (const [first, second, ...padding] of rows) {
      expect(first).toBeLessThan(second)
      expect(padding).toEqual([Infinity, Infinity])
    }
    expect(rows[0][0]).toBeLessThan(rows[2][0])
    expect(lines[3]).toMatch(/^POLYMLA_PLAN_STALE: sequence 0 went from length 103 to 104\. /)
  })
})
