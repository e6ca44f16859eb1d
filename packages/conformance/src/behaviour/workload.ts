import { type ErrorCode, isPolymlaError } from '@polymla/core'
import { type Bench, type Case, ConformanceFailure, check } from '../cases/case.js'
import type { FoundRows } from '../cases/check-rows.js'
import { DenseRig } from '../cases/dense.js'
import { denseInputs, denseShape } from '../cases/dense-data.js'
import { type DenseSpec, denseSpec } from '../cases/dense-spec.js'
import type { DenseInputs } from '../oracle/dense.js'

/** Makes decodes for a behaviour to work with: equal problem, different numbers. */
export interface Workload {
  inputs(): DenseInputs
  rig(inputs?: DenseInputs): DenseRig
}

/** A case about behaviour, which uses dense decode as its work: the commonest problem, unless `given` says otherwise. */
export function behaviourCase(
  name: string,
  run: (bench: Bench, work: Workload) => Promise<void>,
  given: Partial<DenseSpec> = {},
): Case {
  const spec = denseSpec({ batch: 3, keys: 200, lengths: 'varlen', ...given })
  const full = `behaviour/${name}`
  return {
    name: full,
    problem: (seed) => denseShape(spec, seed, full).problem,
    async run(bench) {
      const shape = denseShape(spec, bench.seed, full)
      const inputs = () => denseInputs(spec, shape, bench.random)
      await run(bench, { inputs, rig: (given = inputs()) => new DenseRig(bench, given, spec) })
      return []
    },
  }
}

/** A decode long enough that work enqueued behind it does not happen at once. */
export const LONG: Partial<DenseSpec> = { batch: 4, heads: 64, keys: 800 }

/** Throws unless a rig's results are the oracle's. */
export async function expectRight(
  rig: DenseRig,
  found?: FoundRows | Promise<FoundRows>,
  what = '',
): Promise<void> {
  const comparisons = await rig.verify(found ?? rig.results())
  const failed = comparisons.find(({ passed }) => !passed)
  check(!failed, `${what}${what && ': '}${failed?.message}`)
}

/** Throws unless two results agree in every bit. */
export function expectSame(expected: FoundRows, found: FoundRows, what: string): void {
  const bits = (rows: FoundRows) => [
    rows.out,
    rows.lse && new Int32Array(rows.lse.buffer, rows.lse.byteOffset, rows.lse.length),
  ]
  bits(expected).forEach((array, i) => {
    const other = bits(found)[i]
    const at = array?.findIndex((value, j) => value !== other?.[j]) ?? -1
    check(
      at < 0,
      `${what}: ${i === 0 ? 'out' : 'lse'} differs at element ${at}: ${array?.[at]} and ${other?.[at]}`,
    )
  })
}

/** Throws unless `call` throws, or rejects with, an error of that code (about that argument). */
export async function expectError(
  what: string,
  code: ErrorCode,
  call: () => unknown,
  path?: string,
): Promise<void> {
  try {
    await call()
  } catch (error) {
    if (!isPolymlaError(error, code)) {
      throw new ConformanceFailure(
        `${what}: expected ${code}, found ${error instanceof Error ? error.message : error}`,
      )
    }
    check(
      path === undefined || error.path === path,
      `${what}: expected an error about ${path}, found ${error.path}`,
    )
    return
  }
  throw new ConformanceFailure(`${what}: expected ${code}, but nothing was thrown`)
}
