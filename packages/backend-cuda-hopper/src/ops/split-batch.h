#pragma once
#include <cuda_runtime.h>

#include "../host/schedule.h"

namespace polymla {

/**
 * A step whose requests are cut every so many pages, and the same step as a batch of the splits: each a request of its
 * own that nothing cuts, with its pages alone in its row of the table. What a split computes then depends on nothing
 * but itself, which is what makes a step batch-invariant. Device pointers.
 */
struct SplitBatch {
  // The step.
  const int32_t* lengths;     ///< [batch]
  const int32_t* blockTable;  ///< [batch, tableWidth]
  const ScheduleRow* rows;    ///< [rowCount]
  const int32_t* numSplits;   ///< [batch + 1]
  int64_t batch;
  int64_t tableWidth;
  int64_t mostTokens;  ///< of a request; lengths count as no more
  int64_t rowCount;
  int64_t splitPages;    ///< in pages of 64 tokens
  int64_t splitColumns;  ///< the same in columns of the table
  int64_t mostSplits;    ///< of all requests

  // Written.
  ScheduleRow* splitRows;  ///< [rowCount]
  int32_t* splitLengths;   ///< [mostSplits]: what is left of the request where the split begins, so that masks stay right
  int32_t* requestOf;      ///< [mostSplits]
  int32_t* splitTable;     ///< [mostSplits, splitColumns]
  int32_t* splitFirsts;    ///< [mostSplits + 1]: prefix sums of one split each
};

/** Enqueues the computation of the batch of splits. Throws Failure. */
void launchSplitBatch(const SplitBatch& step, cudaStream_t stream);

}  // namespace polymla
