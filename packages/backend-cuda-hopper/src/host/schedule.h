#pragma once
#include <cstdint>
#include <vector>

#include "../../../native/kit/schedule-row.h"

namespace polymla {

struct Schedule {
  std::vector<ScheduleRow> rows;
  std::vector<int32_t> numSplits;  ///< [batch + 1], prefix sums
};

/**
 * The tile schedule of `@polymla/core` (scheduler/schedule.ts, which explains it): the same rows and prefix sums. A
 * request costs max(ceil(length / pageSize), 1) pages + fixedOverhead for each piece it is cut into.
 *
 * @param partitions ≥ 1
 */
Schedule computeSchedule(const std::vector<int32_t>& lengths, int partitions, int pageSize, int fixedOverhead);

}  // namespace polymla
