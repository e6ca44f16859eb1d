import { Random } from '@polymla/conformance'
import {
  type DecodeOptions,
  type DecodePlan,
  type DecodeRun,
  type Device,
  type FloatDType,
  type KvFormat,
  kvLayout,
} from '@polymla/core'
import type { Scope } from '../scope.js'
import { fillCache, fillNormal } from './data.js'
import { denseCost } from './dense-cost.js'
import { PythonRandom } from './python-random.js'
import type { DenseCase, DenseKind } from './rows.js'
import type { Work } from './work.js'

const PAGE = 64
const HEAD_DIM = 576
const VALUE_DIM = 512

const FORMATS: Readonly<Record<DenseKind, { cache: KvFormat; q: FloatDType; out: 'bf16' | 'f16' | 'f32' }>> =
  {
    'dense.bf16': { cache: 'bf16', q: 'bf16', out: 'bf16' },
    'dense.fp16': { cache: 'fp16', q: 'f16', out: 'f16' },
    'dense.f32': { cache: 'f32', q: 'f32', out: 'f32' },
    'dense.fp8': { cache: 'e4m3', q: 'e4m3', out: 'bf16' },
  }

/** A dense case on a device, and what it is made of. */
export interface DenseWork extends Work {
  readonly plan: DecodePlan
  readonly run: DecodeRun
  /** Updates the plan with the case's lengths and tables. */
  update(): void
}

/** Puts a dense case on the device: pages in random order, as a cache in use has them. */
export function denseWork(device: Device, row: DenseCase, seed: number, scope: Scope): DenseWork {
  const { b, s_q, h_q } = row
  const format = FORMATS[row.kind]
  const random = new Random(seed)
  const seqlens = lengths(row, new PythonRandom(seed))
  const pages = seqlens.map((length) => Math.ceil(length / PAGE))
  const width = Math.max(0, ...pages)
  const layout = kvLayout({ format: format.cache, pages: sum(pages) })
  const options: DecodeOptions = {
    maxBatch: b,
    queryTokens: s_q,
    heads: h_q,
    cache: layout,
    dtype: format.q,
    outDtype: format.out,
    blockTableWidth: width,
    mask: row.causal ? 'causal' : 'none',
    softmaxScale: HEAD_DIM ** -0.5,
  }
  const plan = scope.hold(device.planDecode(options))
  const cache = scope.hold(device.createKvStorage(layout))
  const q = scope.hold(device.empty({ shape: [b, s_q, h_q, HEAD_DIM], dtype: format.q }))
  const out = scope.hold(device.empty({ shape: [b, s_q, h_q, VALUE_DIM], dtype: format.out }))
  const lse = scope.hold(device.empty({ shape: [b, h_q, s_q], dtype: 'f32' }))
  fillCache(cache, random)
  fillNormal(q, random)
  const step = { seqlens, blockTable: blockTable(pages, width, random) }
  const run = { q, cache, out, lse }
  plan.update(step)
  return {
    plan,
    run,
    launch: () => plan.run(run),
    update: () => void plan.update(step),
    ...denseCost(plan.problem, b, sum(seqlens)),
  }
}

/** `s_k` each, or normal around it with half of it as deviation, at least 1. */
export function lengths({ b, s_k, varlen }: DenseCase, random: PythonRandom): Int32Array {
  return Int32Array.from({ length: b }, () =>
    varlen ? Math.max(Math.trunc(random.normal(s_k, s_k / 2)), 1) : s_k,
  )
}

function blockTable(pages: Int32Array, width: number, random: Random): Int32Array {
  const order = random.permutation(sum(pages))
  const blocks = new Int32Array(pages.length * width)
  let next = 0
  for (const [request, count] of pages.entries()) {
    blocks.set(order.subarray(next, next + count), request * width)
    next += count
  }
  return blocks
}

const sum = (numbers: Int32Array) => numbers.reduce((total, number) => total + number, 0)
