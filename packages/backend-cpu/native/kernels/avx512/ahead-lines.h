#pragma once

#include <algorithm>

#include "../kernels.h"

namespace polymla::cpu {
namespace {

/**
 * Fetches a tile to the second-level cache while another is worked on, in the order of addresses and evenly over the steps
 * of that work. Every line is asked for three times: a tile before it is needed, half a tile and a quarter. The processor
 * drops what it is asked for while too many lines are on their way, and a line that is there already costs next to nothing.
 * Tiles whose keys do not follow each other closely are left to the processor's own prefetching.
 */
class AheadLines {
public:
  /** @param lines that a step fetches; what the steps leave is for `blocks` calls of `rest`. */
  AheadLines(const KeyTile &tile, const KeyTile &next, int keyBytes, int lines, int64_t steps, int blocks)
      : keys(tile.keys), stride(tile.stride), bytes(int64_t{tile.count} * tile.stride), next(next.keys), at(next.keys) {
    if (tile.stride - keyBytes >= 64 || next.stride - keyBytes >= 64) return;
    const int64_t all = int64_t{next.count} * next.stride;
    perStep = std::min(all / steps, int64_t{lines} * 64);
    perBlock = static_cast<int>((all - perStep * steps) / 64 / blocks);
    begin(0);
  }

  /** Before work on the tile's keys from `key` on. */
  void begin(int key) {
    again = place(key * stride + bytes / 2);
    last = place(key * stride + bytes / 4);
  }

  /** GCC drops calls of a function that only fetches, unless it inlines them. */
  template <int lines> [[gnu::always_inline]] void fetch() {
#pragma GCC unroll 4
    for (int line = 0; line < lines; line++) fetchLine(line * 64);
    at += perStep;
    again += perStep;
    last += perStep;
  }

  [[gnu::always_inline]] void rest() {
    for (int line = 0; line < perBlock; line++) {
      fetchLine(0);
      at += 64;
      again += 64;
      last += 64;
    }
  }

private:
  /** Of what follows the first key of the tile by so many bytes. */
  const std::byte *place(int64_t offset) const { return offset < bytes ? keys + offset : next + (offset - bytes); }

  [[gnu::always_inline]] void fetchLine(int offset) const {
    __builtin_prefetch(at + offset, 0, 2);
    __builtin_prefetch(again + offset, 0, 2);
    __builtin_prefetch(last + offset, 0, 2);
  }

  const std::byte *keys;
  int64_t stride, bytes;
  const std::byte *next;
  const std::byte *at, *again = nullptr, *last = nullptr;
  int64_t perStep = 0; // bytes
  int perBlock = 0;    // lines
};

} // namespace
} // namespace polymla::cpu
