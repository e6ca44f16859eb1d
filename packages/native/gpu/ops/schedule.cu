#include "schedule.h"

#include "../dialect/launch.h"

namespace polymla {
namespace {

constexpr int threads = 256;
constexpr int groups = threads / groupLanes;
/** Requests whose pages are kept in shared memory: more are read from their lengths each time. */
constexpr int kept = 8192;

struct Requests {
  int64_t batch;
  const ScheduleInput& input;
  const int32_t* firstPages;  ///< [min(batch, kept)]

  PMLA_DEVICE int64_t count(int64_t request) const {
    if (request < kept) return firstPages[request];
    return pagesOf(input.length(request), input.pageSize);
  }
  PMLA_DEVICE bool isEmpty(int64_t request) const { return count(request) == 0; }
  PMLA_DEVICE int64_t pages(int64_t request) const { return max(count(request), int64_t{1}); }
};

template <class Combine>
PMLA_DEVICE int64_t overBlock(int64_t value, int64_t (&ofGroups)[groups], Combine&& combine) {
  for (int step = 16; step > 0; step /= 2) value = combine(value, shuffleXor(value, step));
  if (threadIndex() % groupLanes == 0) ofGroups[threadIndex() / groupLanes] = value;
  syncBlock();
  value = ofGroups[0];
  for (int group = 1; group < groups; group++) value = combine(value, ofGroups[group]);
  syncBlock();
  return value;
}

/** One block: every thread sums, and tries a payload where splits are fixed; one thread walks. */
struct ScheduleShared {
  int64_t ofGroups[groups];
  int32_t pages[kept];
};

PMLA_KERNEL(threads)
scheduleKernel(const ScheduleInput input, const ScheduleParams params, ScheduleRow* rows, int64_t rowCount, int32_t* numSplits) {
  auto& [ofGroups, pages] = *reinterpret_cast<ScheduleShared*>(sharedMemory());
  const Requests requests{input.batch, input, pages};
  for (int64_t request = threadIndex(); request < min(input.batch, int64_t{kept}); request += threads) {
    pages[request] = static_cast<int32_t>(pagesOf(input.length(request), input.pageSize));
  }
  // A thread sums what it wrote itself; overBlock brings the others here before anybody else reads it.
  ScheduleTotals totals;
  for (int64_t request = threadIndex(); request < input.batch; request += threads) totals.add(requests.pages(request), params);
  const auto sum = [](int64_t a, int64_t b) { return a + b; };
  const auto larger = [](int64_t a, int64_t b) { return max(a, b); };
  const auto smaller = [](int64_t a, int64_t b) { return min(a, b); };
  totals.pages = overBlock(totals.pages, ofGroups, sum);
  totals.splits = overBlock(totals.splits, ofGroups, sum);
  totals.longest = overBlock(totals.longest, ofGroups, larger);

  PayloadRange range(totals, params);
  while (range.low < range.high) {
    const int64_t step = (range.high - range.low + threads - 1) / threads;
    const int64_t mine = min(range.low + threadIndex() * step, range.high);
    const bool enough = mine == range.high || suffices(mine, requests, params);
    const int64_t least = overBlock(enough ? mine : range.high, ofGroups, smaller);
    if (least > range.low) range.low = max(least - step, range.low) + 1;
    range.high = least;
  }
  if (threadIndex() != 0) return;
  numSplits[0] = 0;
  ScheduleWalk walk(requests, params, range.low);
  for (int64_t row = 0; row < rowCount; row++) {
    rows[row] = walk.next([&](int64_t request, int64_t splits) { numSplits[request + 1] = static_cast<int32_t>(splits); });
  }
}

}  // namespace

void launchSchedule(const ScheduleInput& input, const ScheduleParams& params, ScheduleRow* rows, int64_t rowCount,
                    int32_t* numSplits, rt::Stream stream) {
  launchKernel(scheduleKernel, "schedule", 1, threads, sizeof(ScheduleShared), stream, input, params, rows, rowCount, numSplits);
}

}  // namespace polymla
