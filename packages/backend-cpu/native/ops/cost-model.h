#pragma once

#include <cstdint>

#include "polymla_backend.h"

namespace polymla::cpu {

/**
 * How work is cut for threads. It knows problems and loads, never how many threads there are: results would depend on
 * that. A unit of work is a partition of the schedule and a block of query rows.
 */
class CostModel {
public:
  /**
   * @param blocks units that each partition is made of
   * @param rows query rows of a block
   * @param pageTokens tokens per page of the schedule
   */
  CostModel(int64_t blocks, int64_t rows, int64_t pageTokens);

  int64_t maxPartitions() const { return most_; }
  /** Cost of a piece of work beside its pages, in pages. */
  int64_t fixedOverhead() const;
  pmla_choice choose(const pmla_load &load) const;

private:
  int64_t blocks_;
  int64_t pageTokens_;
  int64_t most_;
  double overheadTiles_;
  double smallestUnit_;
};

} // namespace polymla::cpu
