import { edit, type Fault } from './fault.js'

/** Bugs of the kernels of other ops. */
export const otherOpFaults = {
  'lost sink': {
    caughtBy: 'sparse/fp8-656/b2-s1-h64-k256-top128-sink',
    problem: (problem) => ('sink' in problem ? { ...problem, sink: false } : problem),
    before: () => ({ sink: null }),
  },
  'duplicate indices count once': {
    caughtBy: 'sparse/fp8-656/b2-s1-h64-k256-top128',
    async before(problem, args, memory) {
      if (problem.op !== 'sparseDecode') return {}
      const unique = (indices: Int32Array) => {
        for (let begin = 0; begin < indices.length; begin += problem.topk) {
          const seen = new Set<number>()
          for (let i = begin; i < begin + problem.topk; i++) {
            if (seen.has(indices[i])) indices[i] = -1
            seen.add(indices[i])
          }
        }
      }
      return { indices: await memory.changed(args.indices, unique) }
    },
  },
  'topk length ignored': {
    caughtBy: 'sparse/fp8-584/b3-s2-h64-k256-top128-len-extra64of128-page2-len-sink-zeros',
    problem: (problem) => (problem.op === 'sparseDecode' ? { ...problem, topkLength: false } : problem),
    before: () => ({ topkLength: null }),
  },
  'max logits not scaled': {
    caughtBy: 'prefill/bf16/s3-h64-k200-top128-d576v512',
    after: async (problem, args, memory) => {
      if (problem.op !== 'sparsePrefill') return
      await edit<Float32Array>(memory, args.maxLogits, (logits) => {
        logits.forEach((value, i) => {
          logits[i] = value / problem.softmaxScale
        })
      })
    },
  },
  'empty parts merged': {
    caughtBy: 'merge/f32.f32/p3-b2-s2-h16-v512-some.empty',
    async before(problem, args, memory) {
      if (problem.op !== 'mergeStates' || !args.lses) return {}
      const lses = await memory.read<Float32Array>(args.lses)
      return {
        ...args,
        lses: memory.place(
          args.lses,
          lses.map((lse) => (Number.isFinite(lse) ? lse : 0)),
        ),
      }
    },
  },
  'skipped slot written': {
    caughtBy: 'append/bf16/t9-page64-kv1-d576r64-bf16',
    async before(problem, args, memory) {
      if (problem.op !== 'appendKv' || !args.slots) return {}
      return {
        ...args,
        slots: await memory.changed(args.slots, (slots) => slots.set(slots.map((s) => Math.max(s, 0)))),
      }
    },
  },
  'rotary pairs of the other style': {
    caughtBy: 'append/bf16/t9-page64-kv1-d576r64-bf16-interleaved',
    problem: (problem) =>
      problem.op === 'appendKv' && problem.rotary === 'interleaved'
        ? { ...problem, rotary: 'neox' }
        : problem,
  },
  'e4m3 off by one step': {
    caughtBy: 'append/fp8-656/t9-page64-kv1-d576r64-bf16-interleaved',
    after: async (problem, args, memory) => {
      if (problem.op !== 'appendKv' || problem.cache.format !== 'fp8-656') return
      const { pageSize, pageStride } = problem.cache
      const slots = await memory.read(args.slots)
      await edit<Uint8Array>(memory, args.cache, (cache) => {
        cache[Math.floor(slots[0] / pageSize) * pageStride + (slots[0] % pageSize) * 656]--
      })
    },
  },
  'only the first page copied': {
    caughtBy: 'copy/bf16/n4of12-page64',
    before: (problem) => (problem.op === 'copyPages' ? { pairs: 1 } : {}),
  },
} as const satisfies Record<string, Fault>
