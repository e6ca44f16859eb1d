#pragma once

#include <algorithm>
#include <cstdint>

#include "../kernels/kernels.h"

namespace polymla::cpu {

/** Query rows over the same keys, in blocks that a unit takes, of nearly the same size. */
struct RowBlocks {
  /** Matrix units work on that many rows at a time. */
  static constexpr int64_t STEP = 16;

  explicit RowBlocks(int64_t all) : rows(all) {
    const int64_t fewest = (rows + MAX_ROWS - 1) / MAX_ROWS;
    const int64_t even = (rows + fewest - 1) / fewest;
    size = std::min((even + STEP - 1) / STEP * STEP, rows);
    count = (rows + size - 1) / size;
  }

  int64_t begin(int64_t block) const { return block * size; }
  int64_t end(int64_t block) const { return std::min((block + 1) * size, rows); }

  int64_t rows;
  int64_t size;
  int64_t count;
};

} // namespace polymla::cpu
