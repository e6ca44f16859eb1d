#pragma once
#include "../kernels/launch-attend.h"
#include "gpu/library/device.h"
#include "kit/fit.h"
#include "kit/problem.h"

namespace polymla {

/** Indices per page of a sparse decode's schedule. */
constexpr int64_t indexPage = 64;

/** What a problem of attention comes to on a device. */
struct AttendShape {
  AttendKernel kernel{};
  /** Rows of a unit's KV head or query token, and blocks of the kernel's rows that they make. */
  int64_t rows = 0;
  int64_t rowBlocks = 0;
  int64_t partitions = 0; ///< 0: nothing is scheduled
  int64_t fixedOverhead = 0;
  int64_t pageTokens = 1;
  int64_t places = 0; ///< for partial results
  int64_t allRows = 0; ///< of a request
  int64_t valueDim = 0;
  bool scaledResults = false; ///< logits and outs take the scale of an e4m3 cache
  std::string why; ///< what is in the way; empty when nothing is

  uint64_t partialOutBytes() const;
  uint64_t partialLseBytes() const;
  Fit fit() const;
};

AttendShape shapeOf(const DeviceTraits &traits, const pmla_decode_problem &problem);
AttendShape shapeOf(const DeviceTraits &traits, const pmla_sparse_decode_problem &problem);
AttendShape shapeOf(const DeviceTraits &traits, const pmla_sparse_prefill_problem &problem);

} // namespace polymla
