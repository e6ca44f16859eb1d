#pragma once
#include "../dialect/runtime.h"

#include "kit/schedule-walk.h"

namespace polymla {

/** Lengths on the device, as a schedule sees them. */
struct ScheduleInput {
  const int32_t* lengths;  ///< [batch], counted as clamped to [0, longest]; null: all are `longest`
  int64_t batch;
  int64_t longest;
  int64_t pageSize;
  /** Of sparse decode, as sparseLengths in `@polymla/core`: 0 counts as 1, and extra indices follow whole pages. */
  bool sparse = false;
  const int32_t* extraLengths = nullptr;
  int64_t extraLongest = 0;

  PMLA_DEVICE static int64_t clamped(const int32_t* given, int64_t request, int64_t most) {
    if (given == nullptr) return most;
    const int64_t length = given[request];
    return length < 0 ? 0 : length < most ? length : most;
  }
  PMLA_DEVICE int64_t length(int64_t request) const {
    const int64_t first = clamped(lengths, request, longest);
    if (!sparse) return first;
    const int64_t least = first < 1 ? 1 : first;
    if (extraLongest == 0) return least;
    return (least + pageSize - 1) / pageSize * pageSize + clamped(extraLengths, request, extraLongest);
  }
};

/**
 * Enqueues the computation of the schedule, bit for bit as computeSchedule in `@polymla/core`. Throws Failure.
 *
 * @param rows [rowCount], written; those past params.partitions become idle
 * @param numSplits [batch + 1], written
 */
void launchSchedule(const ScheduleInput& input, const ScheduleParams& params, ScheduleRow* rows, int64_t rowCount,
                    int32_t* numSplits, rt::Stream stream);

}  // namespace polymla
