#include "split-batch.h"

#include "../host/launch-dependent.h"
#include "../ptx/dependent-launch.cuh"

namespace polymla {
namespace {

constexpr int pageTokens = 64;
constexpr int threads = 128;

/** The request that a split is of: the last one whose splits begin no later. */
__device__ int64_t requestOf(const SplitBatch& step, int64_t split) {
  int64_t low = 0;
  for (int64_t high = step.batch - 1; low < high;) {
    const int64_t middle = (low + high + 1) / 2;
    if (step.numSplits[middle] <= split) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/** A partition's row: it holds whole splits, so it begins and ends with one. */
__device__ ScheduleRow rowOfSplits(const SplitBatch& step, const ScheduleRow& row) {
  ScheduleRow made{};
  made.endRequest = -1;
  if (row.beginRequest > row.endRequest) return made;
  const int lastOfRow = row.endPage == 0 ? 0 : (row.endPage - 1) / static_cast<int>(step.splitPages);
  made.beginRequest = step.numSplits[row.beginRequest] + row.beginSplit;
  made.endRequest = step.numSplits[row.endRequest] + lastOfRow;
  made.endPage = row.endPage - lastOfRow * static_cast<int>(step.splitPages);
  return made;
}

/** A warp per split; the first threads also make the rows. */
__global__ void __launch_bounds__(threads) splitBatch(const SplitBatch step) {
  ptx::awaitEarlierKernels();
  ptx::allowNextKernel();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * threads;
  const int lane = threadIdx.x % 32;
  for (int64_t row = first; row < step.rowCount; row += stride) step.splitRows[row] = rowOfSplits(step, step.rows[row]);
  for (int64_t split = first; split <= step.mostSplits; split += stride) step.splitFirsts[split] = static_cast<int32_t>(split);
  const int64_t splits = step.numSplits[step.batch];
  for (int64_t split = first / 32; split < splits; split += stride / 32) {
    const int64_t request = requestOf(step, split);
    const int64_t begin = split - step.numSplits[request];
    const int64_t length = min(static_cast<int64_t>(step.lengths[request]), step.mostTokens);
    if (lane == 0) {
      step.requestOf[split] = static_cast<int32_t>(request);
      step.splitLengths[split] = static_cast<int32_t>(max(length - begin * step.splitPages * pageTokens, int64_t{0}));
    }
    for (int64_t column = lane; column < step.splitColumns; column += 32) {
      const int64_t from = begin * step.splitColumns + column;
      step.splitTable[split * step.splitColumns + column] = from < step.tableWidth ? step.blockTable[request * step.tableWidth + from] : -1;
    }
  }
}

}  // namespace

void launchSplitBatch(const SplitBatch& step, cudaStream_t stream) {
  const int64_t units = std::max<int64_t>({step.mostSplits * 32, step.rowCount, step.mostSplits + 1});
  launchDependent(splitBatch, "split_batch", (units + threads - 1) / threads, threads, stream, step);
}

}  // namespace polymla
