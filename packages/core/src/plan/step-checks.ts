import type { DeviceContext } from '../device/context.js'
import { invalidArgument, inWords } from '../errors.js'
import type { Integers } from '../ops/integers.js'
import { checkRank, checkTensor } from '../ops/tensor-args.js'
import type { DecodeProblem } from '../problem/index.js'
import type { Tensor } from '../tensor/tensor.js'

/** Checks a step's lengths; returns the batch. `host` is null when they lie on the device. */
export function checkLengths(
  context: DeviceContext,
  problem: DecodeProblem,
  given: Integers,
  host: Int32Array | null,
): number {
  if (!host) checkRank('seqlens', given as Tensor<'i32'>, 1)
  const batch = host ? host.length : (given as Tensor<'i32'>).shape[0]
  if (!host) checkTensor(context, 'seqlens', given as Tensor<'i32'>, 'i32', [batch], 'contiguous')
  if (batch > problem.maxBatch) {
    throw invalidArgument('seqlens', `at most the plan's maxBatch of ${problem.maxBatch} requests`, batch)
  }
  return batch
}

/**
 * Checks a step's block table against its lengths: [batch, width], wide enough for every length, and every page inside a
 * length inside the cache. Returns the width. What lies on the device is checked for its shape alone, and with lengths
 * there nothing tells which page ids count.
 */
export function checkBlockTable(
  context: DeviceContext,
  problem: DecodeProblem,
  batch: number,
  lengths: Int32Array | null,
  given: Integers,
  table: Int32Array | null,
): number {
  const { blockTableWidth } = problem
  const { pageSize, pages } = problem.cache
  let width = blockTableWidth
  if (!table) {
    checkTensor(context, 'blockTable', given as Tensor<'i32'>, 'i32', [batch, width], 'contiguous')
  } else if (batch > 0) {
    width = table.length / batch
    if (!Number.isInteger(width) || width > blockTableWidth) {
      throw invalidArgument(
        'blockTable',
        `page ids [${batch}, width] with width ≤ ${blockTableWidth}, the plan's blockTableWidth`,
        inWords(`${table.length} page ids`),
        ...(width > blockTableWidth ? ['Plan with a larger blockTableWidth'] : []),
      )
    }
  }
  if (!lengths) return width
  for (let request = 0; request < batch; request++) {
    const length = lengths[request]
    if (length < 0 || length > width * pageSize) {
      throw invalidArgument(
        `seqlens[${request}]`,
        `a length in [0, ${width * pageSize}]: ${width} × ${pageSize} tokens fit its row of the block table`,
        length,
      )
    }
    if (table) checkPages(table, request * width, request * width + Math.ceil(length / pageSize), pages)
  }
  return width
}

function checkPages(table: Int32Array, begin: number, end: number, pages: number): void {
  for (let i = begin; i < end; i++) {
    if (table[i] < 0 || table[i] >= pages) {
      throw invalidArgument(`blockTable[${i}]`, `a page id in [0, ${pages - 1}]`, table[i])
    }
  }
}
