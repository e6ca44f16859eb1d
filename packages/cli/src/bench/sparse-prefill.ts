import { Random } from '@polymla/conformance'
import type { Device } from '@polymla/core'
import type { Scope } from '../scope.js'
import { fillNormal, sampler } from './data.js'
import type { SparsePrefillCase } from './rows.js'
import type { Work } from './work.js'

const VALUE_DIM = 512

/** Puts a sparse prefill case on the device; every query token draws its own distinct keys. */
export function sparsePrefillWork(device: Device, row: SparsePrefillCase, seed: number, scope: Scope): Work {
  const { s_q, s_kv, topk, h_q, d_qk } = row
  const random = new Random(seed)
  const draw = sampler(s_kv, random)
  const chosen = new Int32Array(s_q * topk)
  for (let s = 0; s < s_q; s++) chosen.set(draw(topk), s * topk)

  const q = scope.hold(device.empty({ shape: [s_q, h_q, d_qk], dtype: 'bf16' }))
  const kv = scope.hold(device.empty({ shape: [s_kv, 1, d_qk], dtype: 'bf16' }))
  const out = scope.hold(device.empty({ shape: [s_q, h_q, VALUE_DIM], dtype: 'bf16' }))
  const indices = scope.hold(device.upload(chosen, { shape: [s_q, 1, topk], dtype: 'i32' }))
  fillNormal(q, random)
  fillNormal(kv, random)

  return {
    launch: () => device.sparsePrefill({ q, kv, indices, out, softmaxScale: d_qk ** -0.5 }),
    flop: 2 * s_q * h_q * topk * (d_qk + VALUE_DIM),
    // FlashMLA's count: each query token gathers its own keys.
    bytes: 2 * (s_q * h_q * (d_qk + VALUE_DIM) + s_q * topk * d_qk),
  }
}
