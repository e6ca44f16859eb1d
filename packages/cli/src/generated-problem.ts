import {
  checkRows,
  chooseRows,
  type DenseInputs,
  type DenseSpec,
  denseEmptyRows,
  denseInputs,
  denseOracle,
  denseShape,
  denseSpec,
  denseTolerance,
  Random,
  type VerifiedCase,
} from '@polymla/conformance'
import { type DecodeProblem, type Device, PolymlaError } from '@polymla/core'
import { denseCost } from './bench/dense-cost.js'
import { rates } from './bench/work.js'
import { Scope } from './scope.js'

/** A dense decode whose data follow from a seed. */
export interface GeneratedProblem {
  readonly name: string
  readonly problem: DecodeProblem
  readonly inputs: DenseInputs
  readonly seed: number
}

/** Throws `POLYMLA_OUT_OF_MEMORY` when the host cannot hold its data. */
export function generateProblem(given: Partial<DenseSpec>, seed: number): GeneratedProblem {
  const spec = denseSpec(given)
  const name = label(spec, seed)
  try {
    const shape = denseShape(spec, seed, name)
    return { name, problem: shape.problem, inputs: denseInputs(spec, shape, new Random(seed, name)), seed }
  } catch (cause) {
    // What typed arrays throw when they are too long or memory is out.
    if (!(cause instanceof RangeError)) throw cause
    throw new PolymlaError('POLYMLA_OUT_OF_MEMORY', `the host has no room for the data of ${name}`, {
      fix: 'Lower --batch, --heads, --len or --query-tokens',
      cause,
    })
  }
}

/** Decodes it twice, times the second run, and compares that with float64. */
export async function decodeGenerated(
  device: Device,
  { name, problem, inputs, seed }: GeneratedProblem,
  waiting: { readonly signal: AbortSignal },
): Promise<VerifiedCase> {
  using scope = new Scope()
  const { batch, lengths, blockTable, descaleQ, descaleK } = inputs
  const { op, ...options } = problem
  const { queryTokens, heads, valueDim, dtype, outDtype, cache: layout } = problem
  const plan = scope.hold(device.planDecode(options))
  const cache = scope.hold(device.createKvStorage(layout))
  const q = scope.hold(device.upload(inputs.q, { shape: [batch, queryTokens, heads, layout.headDim], dtype }))
  const out = scope.hold(device.empty({ shape: [batch, queryTokens, heads, valueDim], dtype: outDtype }))
  const lse = scope.hold(device.empty({ shape: [batch, heads, queryTokens], dtype: 'f32' }))
  cache.tensor.write(inputs.storage)
  plan.update({ seqlens: lengths, blockTable })

  const launch = () => plan.run({ q, cache, out, lse, descaleQ, descaleK })
  launch()
  const start = scope.hold(device.defaultStream.record())
  launch()
  const end = scope.hold(device.defaultStream.record())
  const [outBits, lseNumbers] = await Promise.all([out.download(waiting), lse.download(waiting)])
  await end.done(waiting)

  const found = {
    queryTokens,
    heads,
    dtype: outDtype,
    out: outBits,
    lse: lseNumbers,
    empty: denseEmptyRows(inputs),
  }
  const float64 = checkRows(found, denseOracle(inputs, sampledRows(inputs, seed)), denseTolerance(inputs))
  const message = float64.find(({ passed }) => !passed)?.message ?? null
  const microseconds = end.elapsedSince(start)
  const keys = lengths.reduce((a, b) => a + b, 0)
  const { gbps, tflops } = rates(denseCost(problem, batch, keys), microseconds)
  return {
    name,
    op,
    problem,
    status: message === null ? 'passed' : 'failed',
    message,
    float64,
    flashMla: [],
    microseconds,
    gigabytesPerSecond: gbps,
    teraflopsPerSecond: tflops,
  }
}

/** Multiplications spent on checking; rows are sampled where all of them cost more. */
const BUDGET = 2e8

function sampledRows({ problem, batch, lengths }: DenseInputs, seed: number) {
  const { queryTokens, heads, valueDim, cache } = problem
  const cost = (request: number) => lengths[request] * (cache.headDim + valueDim)
  return chooseRows({ batch, queryTokens, heads, cost }, BUDGET, new Random(seed, 'rows'))
}

/** `bf16 b2 s_q1 s_k1024 h_q16 causal seed0` */
function label({ format, batch, queryTokens, keys, heads, mask, lengths }: DenseSpec, seed: number): string {
  const flags = [mask === 'causal' ? ['causal'] : [], lengths === 'varlen' ? ['varlen'] : []].flat()
  const sizes = [`b${batch}`, `s_q${queryTokens}`, `s_k${keys}`, `h_q${heads}`]
  return [format, ...sizes, ...flags, `seed${seed}`].join(' ')
}
