#pragma once
#include <cstdint>
#include <vector>

#include "schedule.h"

namespace polymla {

/**
 * The schedule whose costliest partition is the cheapest, among those of fixed overheads 0 to 16. Costs in pages, fitted
 * to an H200: a page 1, a piece 1 more, a piece that is a split another 7 (partial results written, awaited, merged).
 */
Schedule cheapestSchedule(const std::vector<int32_t>& lengths, int partitions, int pageSize);

}  // namespace polymla
