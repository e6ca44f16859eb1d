#pragma once

#include <cstdint>
#include <vector>

namespace polymla::suite {

/** A tile schedule, as computeSchedule of packages/core/src/scheduler/schedule.ts makes it. */
struct Schedule {
  std::vector<int32_t> rows;
  std::vector<int32_t> numSplits;
};

/** @param lengths pages per request, 0 for one of length 0; `splitPages` 0: cuts where partitions end */
Schedule makeSchedule(const std::vector<int64_t> &pages, int64_t rows, int64_t partitions, int64_t overhead,
                      int64_t splitPages);

} // namespace polymla::suite
