#pragma once
#include <cstdint>

#include "kit/fit.h"
#include "polymla_backend.h"

namespace polymla {

/** What a dense decode problem comes to on a device: which kernel, how many partitions, and where scratch lies. */
struct DecodeShape {
  DecodeShape(int multiprocessors, const pmla_decode_problem& problem);

  bool fewRows;
  int rowBlock;  ///< query rows per CTA of the few-rows kernel
  /** The host's schedule counts pages of the cache, the kernels' one pages of 64 tokens: another is made per launch. */
  bool ownSchedule;
  int64_t partitions;
  int64_t counters;  ///< arrivals
  /** Of a batch-invariant plan: pages of 64 tokens per split, columns of the table that hold them, most splits of a batch; or 0. */
  int64_t splitPages = 0;
  int64_t splitColumns = 0;
  int64_t mostSplits = 0;
  /** Offsets into the workspace. */
  struct Workspace {
    uint64_t partialOut, partialLse, lse, rows, numSplits;
    uint64_t splitRows, splitLengths, requestOf, splitTable, splitFirsts;
    uint64_t partOuts, partLses, bytes;
  } workspace;
};

/** Whether and how the kernels of src/decode do a problem. */
Fit fitDecode(int multiprocessors, const pmla_decode_problem& problem);

/** What of a launch's arguments the kernels cannot take; throws Failure PMLA_UNSUPPORTED. */
void requireDecodeArgs(const pmla_decode_args& args);

}  // namespace polymla
