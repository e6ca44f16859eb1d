#include "launch.cuh"
#include "schedule.h"

namespace polymla {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;
/** Requests whose pages are kept in shared memory: more are read from their lengths each time. */
constexpr int kept = 8192;

struct Requests {
  int64_t batch;
  const ScheduleInput& input;
  const int32_t* firstPages;  ///< [min(batch, kept)]

  __device__ int64_t count(int64_t request) const {
    if (request < kept) return firstPages[request];
    const int64_t length = input.lengths[request];
    return pagesOf(length < input.longest ? length : input.longest, input.pageSize);
  }
  __device__ bool isEmpty(int64_t request) const { return count(request) == 0; }
  __device__ int64_t pages(int64_t request) const { return max(count(request), int64_t{1}); }
};

template <class Combine>
__device__ int64_t overBlock(int64_t value, int64_t (&ofWarps)[warps], Combine&& combine) {
  for (int step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(~0u, value, step));
  if (threadIdx.x % 32 == 0) ofWarps[threadIdx.x / 32] = value;
  __syncthreads();
  value = ofWarps[0];
  for (int warp = 1; warp < warps; warp++) value = combine(value, ofWarps[warp]);
  __syncthreads();
  return value;
}

/** One block: every thread sums, and tries a payload where splits are fixed; one thread walks. */
__global__ void __launch_bounds__(threads, 1)
    scheduleKernel(const ScheduleInput input, const ScheduleParams params, ScheduleRow* rows, int64_t rowCount, int32_t* numSplits) {
  __shared__ int32_t pages[kept];
  __shared__ int64_t ofWarps[warps];
  const Requests requests{input.batch, input, pages};
  for (int64_t request = threadIdx.x; request < min(input.batch, int64_t{kept}); request += threads) {
    const int64_t length = input.lengths[request];
    pages[request] = static_cast<int32_t>(pagesOf(min(length, input.longest), input.pageSize));
  }
  __syncthreads();
  ScheduleTotals totals;
  for (int64_t request = threadIdx.x; request < input.batch; request += threads) totals.add(requests.pages(request), params);
  const auto sum = [](int64_t a, int64_t b) { return a + b; };
  const auto larger = [](int64_t a, int64_t b) { return max(a, b); };
  const auto smaller = [](int64_t a, int64_t b) { return min(a, b); };
  totals.pages = overBlock(totals.pages, ofWarps, sum);
  totals.splits = overBlock(totals.splits, ofWarps, sum);
  totals.longest = overBlock(totals.longest, ofWarps, larger);

  PayloadRange range(totals, params);
  while (range.low < range.high) {
    const int64_t step = (range.high - range.low + threads - 1) / threads;
    const int64_t mine = min(range.low + threadIdx.x * step, range.high);
    const bool enough = mine == range.high || suffices(mine, requests, params);
    const int64_t least = overBlock(enough ? mine : range.high, ofWarps, smaller);
    if (least > range.low) range.low = max(least - step, range.low) + 1;
    range.high = least;
  }
  if (threadIdx.x != 0) return;
  numSplits[0] = 0;
  ScheduleWalk walk(requests, params, range.low);
  for (int64_t row = 0; row < rowCount; row++) {
    rows[row] = walk.next([&](int64_t request, int64_t splits) { numSplits[request + 1] = static_cast<int32_t>(splits); });
  }
}

}  // namespace

void launchSchedule(const ScheduleInput& input, const ScheduleParams& params, ScheduleRow* rows, int64_t rowCount,
                    int32_t* numSplits, cudaStream_t stream) {
  launchKernel(scheduleKernel, "schedule", 1, threads, stream, input, params, rows, rowCount, numSplits);
}

}  // namespace polymla
