import { type KvLayout, kvLayout, storageStrides } from '@polymla/core'
import { edit, type Fault, isDecode } from './fault.js'

const packed = (layout: KvLayout): KvLayout => {
  const { format, pages, pageSize, headsKv, headDim } = layout
  return kvLayout({ format, pages, pageSize, headsKv, headDim })
}

/** Bugs of dense decode kernels. */
export const decodeFaults = {
  'causal off by one': {
    caughtBy: 'dense/bf16/b8-s2-k140-h16-kv1-causal-edges',
    problem: (problem) =>
      isDecode(problem) && problem.mask === 'causal' ? { ...problem, mask: 'tree' } : problem,
    before(problem, args, memory) {
      if (!isDecode(problem) || problem.mask !== 'causal') return {}
      const { maxBatch, queryTokens } = problem
      const words = Math.ceil(queryTokens / 32)
      const mask = new Int32Array(maxBatch * queryTokens * words)
      for (let row = 0; row < maxBatch * queryTokens; row++) {
        for (let t = 0; t < row % queryTokens; t++) mask[row * words + (t >> 5)] |= 1 << (t & 31)
      }
      return { treeMask: memory.place(args.seqlens, mask, [maxBatch, queryTokens, words]) }
    },
  },
  'tree mask ignored': {
    caughtBy: 'dense/bf16/b3-s5-k140-h16-kv1-tree-varlen',
    problem: (problem) => (isDecode(problem) ? { ...problem, mask: 'none' } : problem),
    before: () => ({ treeMask: null }),
  },
  'NaN leak': {
    caughtBy: 'dense/bf16/b8-s1-k140-h16-kv1-edges',
    async before(problem, args, memory) {
      if (!isDecode(problem)) return {}
      const { pageSize } = problem.cache
      const whole = (lengths: Int32Array) => {
        lengths.forEach((length, i) => {
          lengths[i] = Math.ceil(length / pageSize) * pageSize
        })
      }
      return { seqlens: await memory.changed(args.seqlens, whole) }
    },
  },
  'base-2 LSE': {
    caughtBy: 'dense/bf16/b2-s1-k140-h16-kv1-varlen',
    after: (_, args, memory) =>
      edit<Float32Array>(memory, args.lse, (lse) => {
        lse.forEach((value, i) => {
          lse[i] = value / Math.LN2
        })
      }),
  },
  'transposed LSE': {
    caughtBy: 'dense/bf16/b8-s2-k140-h16-kv1-causal-edges',
    after: (problem, args, memory) =>
      edit<Float32Array>(memory, args.lse, (lse) => {
        if (!isDecode(problem)) return
        const { heads, queryTokens } = problem
        const right = lse.slice()
        right.forEach((value, i) => {
          const [row, token] = [Math.floor(i / queryTokens), i % queryTokens]
          lse[(Math.floor(row / heads) * queryTokens + token) * heads + (row % heads)] = value
        })
      }),
  },
  'LSE of empty rows −Infinity': {
    caughtBy: 'dense/bf16/b8-s1-k140-h16-kv1-edges',
    after: (_, args, memory) =>
      edit<Float32Array>(memory, args.lse, (lse) => {
        lse.forEach((value, i) => {
          if (value === Number.POSITIVE_INFINITY) lse[i] = -value
        })
      }),
  },
  'page-order error': {
    caughtBy: 'dense/bf16/b2-s1-k140-h16-kv1-varlen',
    async before(problem, args, memory) {
      if (!isDecode(problem)) return {}
      const lengths = await memory.read(args.seqlens)
      const [, width] = args.blockTable.shape
      const swap = (table: Int32Array) => {
        for (let request = 0; request < args.batch; request++) {
          const first = request * width
          const last = first + Math.ceil(lengths[request] / problem.cache.pageSize) - 1
          if (last > first) [table[first], table[last]] = [table[last], table[first]]
        }
      }
      return { blockTable: await memory.changed(args.blockTable, swap) }
    },
  },
  'dropped split': {
    caughtBy: 'dense/bf16/b2-s1-k1500-h16-kv1-varlen',
    async before(problem, args, memory) {
      if (!isDecode(problem) || !args.numSplits) return {}
      const splits = await memory.read(args.numSplits)
      const [, width] = args.blockTable.shape
      const drop = (table: Int32Array) => {
        for (let request = 0; request < args.batch; request++) {
          if (splits[request + 1] - splits[request] > 1) table[request * width] = -1
        }
      }
      return { blockTable: await memory.changed(args.blockTable, drop) }
    },
  },
  'id outside the cache reads page 0': {
    caughtBy: 'dense/bf16/b3-s1-k200-h16-kv1-varlen-hostile',
    async before(problem, args, memory) {
      if (!isDecode(problem)) return {}
      const { pages } = problem.cache
      const clamp = (table: Int32Array) => {
        table.forEach((page, i) => {
          if (page < 0 || page >= pages) table[i] = 0
        })
      }
      return { blockTable: await memory.changed(args.blockTable, clamp) }
    },
  },
  'ignored block stride': {
    caughtBy: 'dense/bf16/b2-s1-k140-h16-kv1-varlen-gap64',
    problem: (problem) => (isDecode(problem) ? { ...problem, cache: packed(problem.cache) } : problem),
    before: (problem, args) =>
      isDecode(problem) ? { cache: { ...args.cache, strides: storageStrides(packed(problem.cache)) } } : {},
  },
  'ignored query strides': {
    caughtBy: 'dense/bf16/b2-s1-k140-h16-kv1-varlen-strided',
    before(problem, args) {
      if (!isDecode(problem)) return {}
      const { shape } = args.q
      const strides = shape.map((_, dim) => shape.slice(dim + 1).reduce((a, b) => a * b, 1))
      return { q: { ...args.q, strides } }
    },
  },
  'rows past a tile never written': {
    caughtBy: 'dense/bf16/b2-s1-k140-h127-kv1-varlen',
    after: async (problem, args, memory) => {
      if (!isDecode(problem)) return
      const rows = problem.queryTokens * problem.heads
      const written = Math.floor(rows / 16) * 16
      await edit<Uint16Array>(memory, args.out, (out) => {
        for (let request = 0; request < args.batch; request++) {
          const begin = request * rows
          out.fill(0xffff, (begin + written) * problem.valueDim, (begin + rows) * problem.valueDim)
        }
      })
    },
  },
  'write past the output': {
    caughtBy: 'dense/bf16/b2-s1-k140-h16-kv1-varlen',
    after: (problem, args, memory) => {
      if (isDecode(problem))
        memory.write(
          args.out,
          new Uint16Array(8),
          args.out.shape.reduce((a, b) => a * b, 1),
        )
    },
  },
  'input overwritten': {
    caughtBy: 'behaviour/inputs/dense/bf16/b3-s3-k200-h16-kv1-tree-varlen-device',
    after: (problem, args, memory) => {
      if (isDecode(problem)) memory.write(args.q, new Uint16Array(8))
    },
  },
  'rows without keys nearly zero': {
    caughtBy: 'dense/bf16/b8-s1-k140-h16-kv1-edges',
    after: (problem, args, memory) =>
      edit<Uint16Array>(memory, args.out, (out) => {
        // The first request of that case has no keys; bf16 1e-5 is far inside the tolerance.
        if (isDecode(problem)) out[0] = 0x3728
      }),
  },
} as const satisfies Record<string, Fault>
