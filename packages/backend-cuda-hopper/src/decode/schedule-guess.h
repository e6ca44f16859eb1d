#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

namespace polymla {

/**
 * Where partitions begin, as far as the launch can tell: as if all requests were as long, and partitions as large, as the
 * first. With it a CTA asks for its first table entries beside its row of the schedule, which says whether the guess was
 * right, instead of behind it: from device memory each of them takes half a microsecond. A wrong guess costs some instructions.
 */
struct ScheduleGuess {
  uint8_t partitions = 0;  ///< the first ones, which it is for
  uint8_t partitionPages = 0;
  uint16_t requestPages = 1;

  struct Begin {
    int request;  ///< less than the batch; −1: no guess
    int page;     ///< of the request
  };

  /** @param requestPages, partitionPages blocks of 64 tokens, at least 1; no guess where they are too many */
  static ScheduleGuess of(int64_t batch, int64_t requestPages, int64_t partitionPages) {
    ScheduleGuess guess;
    if (requestPages < 1 || requestPages > UINT16_MAX || partitionPages < 1 || partitionPages > UINT8_MAX) return guess;
    const int64_t partitions = (batch * requestPages + partitionPages - 1) / partitionPages;
    guess.partitions = static_cast<uint8_t>(std::min<int64_t>(partitions, UINT8_MAX));
    guess.partitionPages = static_cast<uint8_t>(partitionPages);
    guess.requestPages = static_cast<uint16_t>(requestPages);
    return guess;
  }

  __host__ __device__ Begin begin(uint32_t partition) const {
    const uint32_t first = partition * partitionPages;
    // Exact: less than 2^16, and at least half a page from the next whole number of requests.
#ifdef __CUDA_ARCH__
    const int request = static_cast<int>(__fdividef(first + 0.5f, requestPages));
#else
    const int request = static_cast<int>((first + 0.5f) / requestPages);
#endif
    return {partition < partitions ? request : -1, static_cast<int>(first) - request * requestPages};
  }
};

}  // namespace polymla
