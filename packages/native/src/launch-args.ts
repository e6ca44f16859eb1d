import type {
  AppendKvArgs,
  CopyPagesArgs,
  DecodeArgs,
  LaunchArgs,
  MergeStatesArgs,
  Problem,
  ScheduleArgs,
  SparseDecodeArgs,
  SparsePrefillArgs,
} from '@polymla/core'
import { addressOf } from './buffer.js'

/*
 * Each function writes the members of the header's struct of the same name in order, as addon/args.cpp reads them. They
 * are written out, and allocate nothing, because one runs for every layer of every step.
 */

export function writeScheduleArgs(block: Float64Array, args: ScheduleArgs): void {
  block[0] = args.batch
  block[1] = addressOf(args.lengths)
  block[2] = addressOf(args.extraLengths)
  block[3] = args.partitions
  block[4] = args.fixedOverhead
  block[5] = args.pageSize
  block[6] = args.splitPages
  block[7] = addressOf(args.schedule)
  block[8] = addressOf(args.numSplits)
}

function writeDecodeArgs(block: Float64Array, args: DecodeArgs): void {
  const { strides } = args.q
  block[0] = args.batch
  block[1] = addressOf(args.q)
  block[2] = strides[0]
  block[3] = strides[1]
  block[4] = strides[2]
  block[5] = addressOf(args.cache)
  block[6] = addressOf(args.seqlens)
  block[7] = addressOf(args.blockTable)
  block[8] = addressOf(args.treeMask)
  block[9] = addressOf(args.out)
  block[10] = addressOf(args.lse)
  block[11] = args.descaleQ
  block[12] = args.descaleK
  block[13] = addressOf(args.schedule)
  block[14] = addressOf(args.numSplits)
  block[15] = args.splitPages
  block[16] = addressOf(args.workspace)
}

function writeSparseDecodeArgs(block: Float64Array, args: SparseDecodeArgs): void {
  const { strides } = args.q
  block[0] = args.batch
  block[1] = addressOf(args.q)
  block[2] = strides[0]
  block[3] = strides[1]
  block[4] = strides[2]
  block[5] = addressOf(args.cache)
  block[6] = addressOf(args.indices)
  block[7] = addressOf(args.topkLength)
  block[8] = addressOf(args.extraCache)
  block[9] = addressOf(args.extraIndices)
  block[10] = addressOf(args.extraTopkLength)
  block[11] = addressOf(args.sink)
  block[12] = addressOf(args.out)
  block[13] = addressOf(args.lse)
  block[14] = args.descaleK
  block[15] = addressOf(args.schedule)
  block[16] = addressOf(args.numSplits)
  block[17] = args.splitPages
  block[18] = addressOf(args.workspace)
}

function writeSparsePrefillArgs(block: Float64Array, args: SparsePrefillArgs): void {
  block[0] = addressOf(args.q)
  block[1] = args.q.strides[0]
  block[2] = args.q.strides[1]
  block[3] = addressOf(args.kv)
  block[4] = args.kv.strides[0]
  block[5] = addressOf(args.indices)
  block[6] = addressOf(args.topkLength)
  block[7] = addressOf(args.sink)
  block[8] = addressOf(args.out)
  block[9] = addressOf(args.maxLogits)
  block[10] = addressOf(args.lse)
  block[11] = addressOf(args.workspace)
}

function writeAppendKvArgs(block: Float64Array, args: AppendKvArgs): void {
  block[0] = args.tokens
  block[1] = addressOf(args.latent)
  block[2] = args.latent.strides[0]
  block[3] = args.latent.strides[1]
  block[4] = addressOf(args.ropeKey)
  block[5] = args.ropeKey?.strides[0] ?? 0
  block[6] = args.ropeKey?.strides[1] ?? 0
  block[7] = addressOf(args.slots)
  block[8] = addressOf(args.positions)
  block[9] = addressOf(args.rotaryTable)
  block[10] = addressOf(args.cache)
  block[11] = args.descaleK
  block[12] = addressOf(args.workspace)
}

function writeMergeStatesArgs(block: Float64Array, args: MergeStatesArgs): void {
  const { outs, lses } = args
  block[0] = addressOf(outs)
  block[1] = outs.strides[0]
  block[2] = outs.strides[1]
  block[3] = outs.strides[2]
  block[4] = outs.strides[3]
  block[5] = addressOf(lses)
  block[6] = lses.strides[0]
  block[7] = lses.strides[1]
  block[8] = lses.strides[2]
  block[9] = addressOf(args.out)
  block[10] = addressOf(args.lse)
  block[11] = addressOf(args.workspace)
}

function writeCopyPagesArgs(block: Float64Array, args: CopyPagesArgs): void {
  block[0] = args.pairs
  block[1] = addressOf(args.cache)
  block[2] = addressOf(args.pages)
  block[3] = addressOf(args.workspace)
}

type Writers = { readonly [O in Problem['op']]: (block: Float64Array, args: LaunchArgs[O]) => void }

/** What writes the arguments of a launch, by op. */
export const argumentWriters: Writers = {
  decode: writeDecodeArgs,
  sparseDecode: writeSparseDecodeArgs,
  sparsePrefill: writeSparsePrefillArgs,
  appendKv: writeAppendKvArgs,
  mergeStates: writeMergeStatesArgs,
  copyPages: writeCopyPagesArgs,
}
