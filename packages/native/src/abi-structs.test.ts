import { readFileSync } from 'node:fs'
import {
  appendKvProblem,
  type BackendBuffer,
  type BackendDevice,
  copyPagesProblem,
  decodeProblem,
  kvLayout,
  type LaunchArgs,
  mergeStatesProblem,
  type Problem,
  type ScheduleArgs,
  sparseDecodeProblem,
  sparsePrefillProblem,
  type TensorRef,
} from '@polymla/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NativeBuffer } from './buffer.js'
import { notRunnable, openPlugin, suite } from './plugins.fixtures.js'

/** Where the plugin `echo` puts a plan's problem. */
const PROBLEM_OFFSET = 512

const header = readFileSync(new URL('../include/polymla_backend.h', import.meta.url), 'utf8')

type Values = Record<string, number | number[]>
const SIZES: Record<string, number> = { uint32_t: 4, int64_t: 8, double: 8 }

/** The members of a struct of the header, in order: name, type, and elements of an array. */
function members(struct: string): { type: string; name: string; count: number }[] {
  const body = header.match(new RegExp(`typedef struct \\{([^{}]*)\\} ${struct};`))?.[1] ?? ''
  return body
    .replace(/\/\*.*?\*\//gs, '')
    .split(';')
    .flatMap((line) => {
      const [, type, name, count] = line.match(/(?:const )?(\w+) ?\*? ?(\w+)(?:\[(\d+)\])?\s*$/) ?? []
      return name ? [{ type: line.includes('*') ? 'pointer' : type, name, count: Number(count ?? 1) }] : []
    })
}

/** Reads a struct by what the header says of it. */
function read(struct: string, view: DataView, start = 0): { values: Values; end: number } {
  const values: Values = {}
  let at = start
  for (const { type, name, count } of members(struct)) {
    if (type.startsWith('pmla_')) {
      const inner = read(type, view, at)
      for (const [key, value] of Object.entries(inner.values)) values[`${name}.${key}`] = value
      at = inner.end
      continue
    }
    const elements = Array.from({ length: count }, (_, i) => {
      if (type === 'double') return view.getFloat64(at + 8 * i, true)
      return type === 'uint32_t' ? view.getUint32(at, true) : Number(view.getBigInt64(at + 8 * i, true))
    })
    at += count * (SIZES[type] ?? 8)
    values[name] = count === 1 ? elements[0] : elements
  }
  return { values, end: at }
}

const bf16 = kvLayout({ format: 'bf16', pages: 9, pageSize: 32, pageStride: 32 * 576 + 64 })
const packed = kvLayout({ format: 'fp8-656', pages: 5 })
const layoutOf = (name: string, format: number, layout: typeof bf16): Values => ({
  [`${name}.format`]: format,
  [`${name}.reserved`]: 0,
  [`${name}.pages`]: layout.pages,
  [`${name}.page_size`]: layout.pageSize,
  [`${name}.heads_kv`]: layout.headsKv,
  [`${name}.head_dim`]: layout.headDim,
  [`${name}.page_stride`]: layout.pageStride,
})
const noLayout = layoutOf('extra_cache', 0, {
  ...bf16,
  pages: 0,
  pageSize: 0,
  headsKv: 0,
  headDim: 0,
  pageStride: 0,
})

describe.skipIf(notRunnable)(suite('what a library gets'), () => {
  let device: BackendDevice
  let written: BackendBuffer
  let next = 1
  beforeAll(async () => {
    device = await openPlugin('echo', { partitions: '4' })
    written = device.alloc(4096)
  })
  afterAll(() => device.dispose())

  /** A tensor at an address that nobody reads, unlike every other one. */
  const tensor = (...strides: number[]): TensorRef => {
    const byteOffset = 8 * next++
    return { dtype: 'f32', shape: strides.map(() => 1), strides, buffer: written, byteOffset }
  }
  const target = (): TensorRef => ({ ...tensor(1), byteOffset: 0 })
  const address = (ref: TensorRef | null) => (ref ? (ref.buffer as NativeBuffer).address + ref.byteOffset : 0)

  async function structs(args: string, problem: string): Promise<{ args: Values; problem: Values }> {
    const stream = device.createStream()
    const bytes = new Uint8Array(1024)
    stream.download(written, 0, bytes)
    await stream.record().done()
    stream.dispose()
    const view = new DataView(bytes.buffer)
    const found = { args: read(args, view), problem: read(problem, view, PROBLEM_OFFSET) }
    // The sizes are those of the structs, to the last byte.
    expect(found.args.values.size).toBe(found.args.end)
    expect(found.problem.values.size).toBe(found.problem.end - PROBLEM_OFFSET)
    const strip = ({ size: _, ...values }: Values) => values
    return { args: strip(found.args.values), problem: strip(found.problem.values) }
  }

  async function launched<P extends Problem>(problem: P, args: LaunchArgs[P['op']], struct: string) {
    const stream = device.createStream()
    const plan = device.prepare(problem)
    plan.launch(stream, args)
    plan.dispose()
    stream.dispose()
    return structs(`pmla_${struct}_args`, `pmla_${struct}_problem`)
  }

  it.each([true, false])('decode, with everything: %s', async (all) => {
    const problem = decodeProblem({
      maxBatch: 6,
      queryTokens: 2,
      heads: 24,
      valueDim: 256,
      dtype: 'f16',
      outDtype: 'f32',
      cache: all ? bf16 : packed,
      blockTableWidth: 7,
      mask: all ? 'tree' : 'causal',
      softmaxScale: 0.125,
      splitPages: 3,
    })
    const optional = (ref: TensorRef) => (all ? ref : null)
    const args: LaunchArgs['decode'] = {
      batch: 5,
      q: tensor(1111, 222, 33, 1),
      cache: tensor(1),
      seqlens: tensor(1),
      blockTable: tensor(1),
      treeMask: optional(tensor(1)),
      out: target(),
      lse: optional(tensor(1)),
      descaleQ: 0.5,
      descaleK: 0.25,
      schedule: optional(tensor(1)),
      numSplits: optional(tensor(1)),
      splitPages: 3,
      workspace: optional(tensor(1)),
    }
    expect(await launched(problem, args, 'decode')).toEqual({
      problem: {
        op: 1,
        q_dtype: 2,
        out_dtype: 3,
        mask: all ? 2 : 1,
        reserved: 0,
        max_batch: 6,
        query_tokens: 2,
        heads: 24,
        value_dim: 256,
        block_table_width: 7,
        split_pages: 3,
        ...layoutOf('cache', all ? 1 : 5, all ? bf16 : packed),
        softmax_scale: 0.125,
      },
      args: {
        reserved: 0,
        batch: 5,
        q: address(args.q),
        q_strides: [1111, 222, 33],
        cache: address(args.cache),
        seqlens: address(args.seqlens),
        block_table: address(args.blockTable),
        tree_mask: address(args.treeMask),
        out: address(args.out),
        lse: address(args.lse),
        descale_q: 0.5,
        descale_k: 0.25,
        'schedule.rows': address(args.schedule),
        'schedule.num_splits': address(args.numSplits),
        split_pages: 3,
        workspace: address(args.workspace),
      },
    })
  })

  it.each([true, false])('sparseDecode, with everything: %s', async (all) => {
    const problem = sparseDecodeProblem({
      maxBatch: 6,
      queryTokens: 2,
      heads: 24,
      valueDim: 256,
      cache: bf16,
      topk: 77,
      topkLength: all,
      extra: all ? { cache: packed, topk: 55, topkLength: true } : null,
      sink: all,
      softmaxScale: 0.125,
      splitPages: 2,
    })
    const optional = (ref: TensorRef) => (all ? ref : null)
    const args: LaunchArgs['sparseDecode'] = {
      batch: 5,
      q: tensor(1111, 222, 33, 1),
      cache: tensor(1),
      indices: tensor(1),
      topkLength: optional(tensor(1)),
      extraCache: optional(tensor(1)),
      extraIndices: optional(tensor(1)),
      extraTopkLength: optional(tensor(1)),
      sink: optional(tensor(1)),
      out: target(),
      lse: optional(tensor(1)),
      descaleK: 0.25,
      schedule: optional(tensor(1)),
      numSplits: optional(tensor(1)),
      splitPages: 2,
      workspace: optional(tensor(1)),
    }
    expect(await launched(problem, args, 'sparse_decode')).toEqual({
      problem: {
        op: 2,
        q_dtype: 1,
        out_dtype: 1,
        flags: all ? 15 : 0,
        reserved: 0,
        max_batch: 6,
        query_tokens: 2,
        heads: 24,
        value_dim: 256,
        topk: 77,
        extra_topk: all ? 55 : 0,
        split_pages: 2,
        ...layoutOf('cache', 1, bf16),
        ...(all ? layoutOf('extra_cache', 5, packed) : noLayout),
        softmax_scale: 0.125,
      },
      args: {
        reserved: 0,
        batch: 5,
        q: address(args.q),
        q_strides: [1111, 222, 33],
        cache: address(args.cache),
        indices: address(args.indices),
        topk_length: address(args.topkLength),
        extra_cache: address(args.extraCache),
        extra_indices: address(args.extraIndices),
        extra_topk_length: address(args.extraTopkLength),
        sink: address(args.sink),
        out: address(args.out),
        lse: address(args.lse),
        descale_k: 0.25,
        'schedule.rows': address(args.schedule),
        'schedule.num_splits': address(args.numSplits),
        split_pages: 2,
        workspace: address(args.workspace),
      },
    })
  })

  it('sparsePrefill', async () => {
    const problem = sparsePrefillProblem({
      queryTokens: 10,
      heads: 24,
      keys: 99,
      headDim: 128,
      valueDim: 64,
      dtype: 'f32',
      outDtype: 'f16',
      topk: 11,
      topkLength: true,
      sink: true,
      softmaxScale: 0.5,
    })
    const args: LaunchArgs['sparsePrefill'] = {
      q: tensor(222, 33, 1),
      kv: tensor(44, 5, 1),
      indices: tensor(1),
      topkLength: tensor(1),
      sink: tensor(1),
      out: target(),
      maxLogits: tensor(1),
      lse: tensor(1),
      workspace: tensor(1),
    }
    expect(await launched(problem, args, 'sparse_prefill')).toEqual({
      problem: {
        op: 3,
        dtype: 3,
        out_dtype: 2,
        flags: 9,
        reserved: 0,
        query_tokens: 10,
        heads: 24,
        keys: 99,
        head_dim: 128,
        value_dim: 64,
        topk: 11,
        softmax_scale: 0.5,
      },
      args: {
        reserved: 0,
        q: address(args.q),
        q_strides: [222, 33],
        kv: address(args.kv),
        kv_stride: 44,
        indices: address(args.indices),
        topk_length: address(args.topkLength),
        sink: address(args.sink),
        out: address(args.out),
        max_logits: address(args.maxLogits),
        lse: address(args.lse),
        workspace: address(args.workspace),
      },
    })
  })

  it.each([true, false])('appendKv, with rope: %s', async (rope) => {
    const problem = appendKvProblem({
      maxTokens: 12,
      cache: bf16,
      ropeDim: rope ? 64 : 0,
      dtype: 'f16',
      rotary: rope ? 'neox' : 'none',
      tableLength: rope ? 100 : 0,
    })
    const optional = (ref: TensorRef) => (rope ? ref : null)
    const args: LaunchArgs['appendKv'] = {
      tokens: 9,
      latent: tensor(222, 33, 1),
      ropeKey: optional(tensor(44, 5, 1)),
      slots: tensor(1),
      positions: optional(tensor(1)),
      rotaryTable: optional(tensor(1)),
      cache: target(),
      descaleK: 0.25,
      workspace: optional(tensor(1)),
    }
    expect(await launched(problem, args, 'append_kv')).toEqual({
      problem: {
        op: 4,
        dtype: 2,
        rotary: rope ? 2 : 0,
        max_tokens: 12,
        rope_dim: rope ? 64 : 0,
        table_length: rope ? 100 : 0,
        ...layoutOf('cache', 1, bf16),
      },
      args: {
        reserved: 0,
        tokens: 9,
        latent: address(args.latent),
        latent_strides: [222, 33],
        rope_key: address(args.ropeKey),
        rope_key_strides: rope ? [44, 5] : [0, 0],
        slots: address(args.slots),
        positions: address(args.positions),
        rotary_table: address(args.rotaryTable),
        cache: address(args.cache),
        descale_k: 0.25,
        workspace: address(args.workspace),
      },
    })
  })

  it('mergeStates', async () => {
    const problem = mergeStatesProblem({ parts: 3, batch: 4, queryTokens: 2, heads: 8, valueDim: 64 })
    const args: LaunchArgs['mergeStates'] = {
      outs: tensor(5555, 444, 33, 22, 1),
      lses: tensor(666, 55, 4, 1),
      out: target(),
      lse: tensor(1),
      workspace: null,
    }
    expect(await launched(problem, args, 'merge_states')).toEqual({
      problem: {
        op: 5,
        dtype: 3,
        out_dtype: 3,
        parts: 3,
        batch: 4,
        query_tokens: 2,
        heads: 8,
        value_dim: 64,
      },
      args: {
        reserved: 0,
        outs: address(args.outs),
        outs_strides: [5555, 444, 33, 22],
        lses: address(args.lses),
        lses_strides: [666, 55, 4],
        out: address(args.out),
        lse: address(args.lse),
        workspace: 0,
      },
    })
  })

  it('copyPages', async () => {
    const args: LaunchArgs['copyPages'] = { pairs: 6, cache: target(), pages: tensor(2, 1), workspace: null }
    expect(await launched(copyPagesProblem({ maxPairs: 8, cache: packed }), args, 'copy_pages')).toEqual({
      problem: { op: 6, max_pairs: 8, ...layoutOf('cache', 5, packed) },
      args: {
        reserved: 0,
        pairs: 6,
        cache: address(args.cache),
        pages: address(args.pages),
        workspace: 0,
      },
    })
  })

  it('schedule', async () => {
    const problem = decodeProblem({
      maxBatch: 6,
      heads: 24,
      cache: bf16,
      blockTableWidth: 7,
      softmaxScale: 1,
    })
    const args: ScheduleArgs = {
      batch: 5,
      lengths: tensor(1),
      extraLengths: null,
      partitions: 3,
      fixedOverhead: 5,
      pageSize: 32,
      splitPages: 2,
      schedule: target(),
      numSplits: tensor(1),
    }
    const stream = device.createStream()
    device.prepare(problem).schedule!(stream, args)
    const found = await structs('pmla_schedule_args', 'pmla_decode_problem')
    expect(found.args).toEqual({
      reserved: 0,
      batch: 5,
      lengths: address(args.lengths),
      extra_lengths: 0,
      partitions: 3,
      fixed_overhead: 5,
      page_size: 32,
      split_pages: 2,
      rows: address(args.schedule),
      num_splits: address(args.numSplits),
    })
  })
})
