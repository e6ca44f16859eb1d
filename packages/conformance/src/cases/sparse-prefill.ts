import type { FloatDType, Stream } from '@polymla/core'
import { chooseRows } from '../oracle/rows.js'
import { type PrefillInputs, prefillOracle, prefillVisible } from '../oracle/sparse-prefill.js'
import { TOLERANCES } from '../tolerances.js'
import type { Bench, Case } from './case.js'
import { checkRows, type FoundRows } from './check-rows.js'
import { type GuardedOutput, guardedOutput, on, upload, uploadStrided } from './device-io.js'
import { type PrefillSpec, prefillInputs, prefillName, prefillProblem, prefillSpec } from './prefill-data.js'

/** A case of sparse prefill against the oracle. */
export function prefillCase(given: Partial<PrefillSpec>): Case {
  const spec = prefillSpec(given)
  return {
    name: prefillName(spec),
    problem: () => (spec.queryTokens > 0 ? prefillProblem(spec) : null),
    async run(bench) {
      const inputs = bench.shared('inputs', (random) => prefillInputs(spec, random))
      const rig = new PrefillRig(bench, inputs, spec)
      rig.run()
      const found = rig.results()
      // The oracle computes while the device does.
      const expected = bench.shared('rows', (random) => {
        const { queryTokens, heads, topk, headDim, valueDim } = inputs.problem
        const cost = () => topk * (headDim + valueDim)
        const grid = { batch: queryTokens, queryTokens: 1, heads, cost }
        return prefillOracle(inputs, chooseRows(grid, bench.budget, random))
      })
      return checkRows(await found, expected, TOLERANCES.sparsePrefill)
    },
  }
}

/** Prefill inputs on a device, ready to run. */
export class PrefillRig {
  readonly inputs: PrefillInputs
  readonly #bench: Bench
  readonly #tensors: Omit<Parameters<Bench['device']['sparsePrefill']>[0], 'stream'>
  readonly #out: GuardedOutput<FloatDType>
  readonly #lse: GuardedOutput<'f32'> | null
  readonly #maxLogits: GuardedOutput<'f32'> | null

  constructor(bench: Bench, inputs: PrefillInputs, placement: Pick<PrefillSpec, 'strided' | 'lse'>) {
    const { queryTokens, heads, keys, headDim, valueDim, topk, dtype, outDtype, softmaxScale } =
      inputs.problem
    const place = placement.strided ? uploadStrided : upload
    const perRow = (name: string) =>
      placement.lse ? guardedOutput(bench, name, 'f32', [queryTokens, heads]) : null
    this.#bench = bench
    this.inputs = inputs
    this.#out = guardedOutput(bench, 'out', outDtype, [queryTokens, heads, valueDim])
    this.#lse = perRow('lse')
    this.#maxLogits = perRow('maxLogits')
    this.#tensors = {
      q: place(bench, dtype, [queryTokens, heads, headDim], inputs.q),
      kv: place(bench, dtype, [keys, 1, headDim], inputs.kv),
      indices: upload(bench, 'i32', [queryTokens, 1, topk], inputs.indices),
      softmaxScale,
      topkLength: inputs.topkLength && upload(bench, 'i32', [queryTokens], inputs.topkLength),
      sink: inputs.sink && upload(bench, 'f32', [heads], inputs.sink),
      out: this.#out.tensor,
      lse: this.#lse?.tensor ?? null,
      maxLogits: this.#maxLogits?.tensor ?? null,
    }
  }

  run(stream?: Stream): void {
    this.#bench.device.sparsePrefill({ ...this.#tensors, ...on(stream) })
  }

  /** Downloads what the last run wrote. Query tokens take the place of requests. */
  async results(): Promise<FoundRows> {
    const { heads, outDtype } = this.inputs.problem
    const [out, lse, maxLogits] = await Promise.all([
      this.#out.download(),
      this.#lse?.download() ?? null,
      this.#maxLogits?.download() ?? null,
    ])
    return {
      queryTokens: 1,
      heads,
      dtype: outDtype,
      out,
      lse: lse as Float32Array | null,
      maxLogits: maxLogits as Float32Array | null,
      empty: emptyRows(this.inputs),
    }
  }
}

function emptyRows(inputs: PrefillInputs): Uint8Array {
  const { queryTokens, heads } = inputs.problem
  const empty = new Uint8Array(queryTokens * heads)
  for (let token = 0; token < queryTokens; token++) {
    if (prefillVisible(inputs, token).length === 0) empty.fill(1, token * heads, (token + 1) * heads)
  }
  return empty
}
