#pragma once
#include <cuda_runtime.h>

#include "../plans/schedule-walk.h"

namespace polymla {

/** Lengths on the device, as a schedule sees them. */
struct ScheduleInput {
  const int32_t* lengths;  ///< [batch], counted as clamped to [0, longest]
  int64_t batch;
  int64_t longest;
  int64_t pageSize;
};

/**
 * Enqueues the computation of the schedule, bit for bit as computeSchedule in `@polymla/core`. Throws Failure.
 *
 * @param rows [rowCount], written; those past params.partitions become idle
 * @param numSplits [batch + 1], written
 */
void launchSchedule(const ScheduleInput& input, const ScheduleParams& params, ScheduleRow* rows, int64_t rowCount,
                    int32_t* numSplits, cudaStream_t stream);

}  // namespace polymla
