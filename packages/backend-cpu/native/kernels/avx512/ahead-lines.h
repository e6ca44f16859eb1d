#pragma once

#include <algorithm>

#include "../kernels.h"

namespace polymla::cpu {
namespace {

/**
 * Fetches a tile to the second-level cache while another is worked on, in the order of addresses and evenly over the steps
 * of that work. Tiles whose keys do not follow each other closely are left to the processor's own prefetching.
 */
class AheadLines {
public:
  /** @param lines that a step fetches; what the steps leave is for `blocks` calls of `rest`. */
  AheadLines(const KeyTile &tile, int keyBytes, int lines, int64_t steps, int blocks) : at(tile.keys) {
    if (tile.stride - keyBytes >= 64) return;
    const int64_t all = int64_t{tile.count} * tile.stride;
    perStep = std::min(all / steps, int64_t{lines} * 64);
    perBlock = static_cast<int>((all - perStep * steps) / 64 / blocks);
  }

  /** GCC drops calls of a function that only fetches, unless it inlines them. */
  template <int lines> [[gnu::always_inline]] void fetch() {
#pragma GCC unroll 4
    for (int line = 0; line < lines; line++) __builtin_prefetch(at + line * 64, 0, 2);
    at += perStep;
  }

  [[gnu::always_inline]] void rest() {
    for (int line = 0; line < perBlock; line++, at += 64) __builtin_prefetch(at, 0, 2);
  }

private:
  const std::byte *at;
  int64_t perStep = 0; // bytes
  int perBlock = 0;    // lines
};

} // namespace
} // namespace polymla::cpu
