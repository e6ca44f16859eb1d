import { Random } from '@polymla/conformance'
import { type Device, kvLayout, tokenBytes } from '@polymla/core'
import type { Scope } from '../scope.js'
import { fillCache, fillNormal } from './data.js'
import type { OpCase } from './rows.js'
import type { Work } from './work.js'

const LATENT = 512
const ROPE = 64
const VALUE_DIM = 512

/** Puts a case of an op around decoding on the device, with its integers there, too. */
export function opWork(device: Device, row: OpCase, seed: number, scope: Scope): Work {
  const random = new Random(seed)
  const { tokens = 0, parts = 0, rows = 0 } = row
  switch (row.kind) {
    case 'copy_pages.bf16':
      return copyWork(device, tokens, random, scope)
    case 'merge_states.bf16':
      return mergeWork(device, parts, rows, random, scope)
    default:
      return appendWork(device, row.kind === 'append_kv.fp8' ? 'fp8-656' : 'bf16', tokens, random, scope)
  }
}

/** Tokens with rope to rotate, to slots in random order. */
function appendWork(
  device: Device,
  format: 'bf16' | 'fp8-656',
  tokens: number,
  random: Random,
  scope: Scope,
): Work {
  const layout = kvLayout({ format, pages: Math.ceil(tokens / 64) })
  const cache = scope.hold(device.createKvStorage(layout))
  const latent = scope.hold(device.empty({ shape: [tokens, 1, LATENT], dtype: 'bf16' }))
  const ropeKey = scope.hold(device.empty({ shape: [tokens, 1, ROPE], dtype: 'bf16' }))
  fillNormal(latent, random)
  fillNormal(ropeKey, random)
  const integers = (data: Int32Array) =>
    scope.hold(device.upload(data, { shape: [data.length], dtype: 'i32' }))
  const slots = integers(random.permutation(layout.pages * 64).slice(0, tokens))
  const positions = integers(Int32Array.from({ length: tokens }, (_, i) => i % 4096))
  const table = scope.hold(device.zeros({ shape: [4096, ROPE], dtype: 'f32' }))
  const rotary = { style: 'interleaved', table, positions } as const
  return {
    launch: () => device.appendKv({ latent, ropeKey, rotary, slots, cache }),
    flop: 0,
    bytes: tokens * (2 * (LATENT + ROPE) + tokenBytes(layout)),
  }
}

function copyWork(device: Device, tokens: number, random: Random, scope: Scope): Work {
  const pairs = tokens / 64
  const layout = kvLayout({ format: 'bf16', pages: 2 * pairs })
  const cache = scope.hold(device.createKvStorage(layout))
  fillCache(cache, random)
  const pages = scope.hold(device.upload(random.permutation(2 * pairs), { shape: [pairs, 2], dtype: 'i32' }))
  return {
    launch: () => device.copyPages({ cache, pages }),
    flop: 0,
    bytes: 2 * tokens * tokenBytes(layout),
  }
}

function mergeWork(device: Device, parts: number, rows: number, random: Random, scope: Scope): Work {
  const outs = scope.hold(device.empty({ shape: [parts, rows, 1, 1, VALUE_DIM], dtype: 'bf16' }))
  const lses = scope.hold(device.empty({ shape: [parts, rows, 1, 1], dtype: 'f32' }))
  const out = scope.hold(device.empty({ shape: [rows, 1, 1, VALUE_DIM], dtype: 'bf16' }))
  const lse = scope.hold(device.empty({ shape: [rows, 1, 1], dtype: 'f32' }))
  fillNormal(outs, random)
  fillNormal(lses, random)
  return {
    launch: () => device.mergeStates({ outs, lses, out, lse }),
    flop: 0,
    bytes: (parts + 1) * rows * (2 * VALUE_DIM + 4),
  }
}
