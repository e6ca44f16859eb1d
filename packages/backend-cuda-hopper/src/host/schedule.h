#pragma once
#include <cstdint>
#include <vector>

namespace polymla {

/** Int32 columns of a partition's row; the layout of FlashMLA's `DecodingSchedMeta` (9241ae3). */
struct ScheduleRow {
  int32_t beginRequest;
  int32_t endRequest;  ///< inclusive
  int32_t beginPage;
  int32_t endPage;  ///< exclusive; of endRequest
  int32_t beginSplit;
  int32_t firstIsSplit;
  int32_t lastIsSplit;
  int32_t pad;
};
static_assert(sizeof(ScheduleRow) == 32);

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
