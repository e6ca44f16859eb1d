#pragma once
#include <cstdint>

namespace polymla {

/** A partition's row of a schedule, as pmla_schedule has it; the layout of FlashMLA's `DecodingSchedMeta` (9241ae3). */
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

}  // namespace polymla
