import { PolymlaError } from '@polymla/core'
import { edit, type Fault, isDecode } from './fault.js'

/** Bugs around the kernels: order, memory, schedules, and what a backend says of itself. */
export const behaviourFaults = {
  'race on reuse': { caughtBy: 'behaviour/plans/race-on-reuse', eagerUploads: true },
  'waits ignored': { caughtBy: 'behaviour/streams/wait', ignoreWaits: true },
  'graph keeps the lengths of its first replay': {
    caughtBy: 'behaviour/graphs/update-between-replays',
    async before(problem, args, memory, state) {
      if (!isDecode(problem)) return {}
      state.lengths ??= await memory.read(args.seqlens)
      return { seqlens: memory.place(args.seqlens, state.lengths) }
    },
  },
  'event loop blocked': {
    caughtBy: 'behaviour/events/event-loop',
    onEnqueue() {
      // Longer than the launch itself may take, also where others use the processors.
      const until = performance.now() + 1500
      while (performance.now() < until);
    },
  },
  'results differ between runs': {
    caughtBy: 'behaviour/determinism/repeats',
    after: (_, args, memory, count) =>
      edit<Uint16Array>(memory, args.out, (out) => {
        out[0] ^= count & 1
      }),
  },
  'results depend on the batch': {
    caughtBy: 'invariant/bf16/b4-s1-k400-h16-kv1-varlen-split2',
    after: (_, args, memory) =>
      edit<Uint16Array>(memory, args.out, (out) => {
        if (args.batch > 1) out[0] ^= 1
      }),
  },
  'schedule of the device differs': {
    caughtBy: 'behaviour/schedule/equals-host',
    afterSchedule: (args, memory) =>
      edit<Int32Array>(memory, args.schedule, (schedule) => {
        schedule[5] ^= 1
      }),
  },
  'claim that fails': {
    caughtBy: 'dense/bf16/b2-s1-k140-h127-kv1-varlen',
    prepare(problem) {
      if (isDecode(problem) && problem.heads % 16 !== 0) {
        throw new PolymlaError('POLYMLA_UNSUPPORTED', 'heads must be a multiple of 16')
      }
    },
  },
  'refusal without a reason': {
    caughtBy: 'dense/bf16/b2-s1-k140-h127-kv1-varlen',
    supports: (problem) => (isDecode(problem) && problem.heads % 16 !== 0 ? '' : true),
  },
} as const satisfies Record<string, Fault>
