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
  /** @param lines that each of `count` steps fetches; what they leave is for `blocks` calls of `rest`. */
  AheadLines(const KeyTile &tile, const KeyTile &next, int keyBytes, int lines, int64_t count, int blocks)
      : steps{next.keys, next.keys, next.keys, 0}, keys(tile.keys), stride(tile.stride),
        bytes(int64_t{tile.count} * tile.stride), next(next.keys) {
    if (tile.stride - keyBytes >= 64 || next.stride - keyBytes >= 64) return;
    const int64_t all = int64_t{next.count} * next.stride;
    steps.bytes = std::min(all / count, int64_t{lines} * 64);
    left = (all - steps.bytes * count + 63) / 64;
    this->blocks = blocks;
    begin(0);
  }

  /** Before work on the tile's keys from `key` on. */
  void begin(int key) {
    steps.again = place(key * stride + bytes / 2);
    steps.last = place(key * stride + bytes / 4);
  }

  /** Where the steps are. Loops take a copy, which stays in registers, and put it back. */
  struct Steps {
    const std::byte *at, *again, *last;
    int64_t bytes;

    /** GCC drops calls of a function that only fetches, unless it inlines them. */
    template <int lines> [[gnu::always_inline]] void fetch() {
#pragma GCC unroll 4
      for (int line = 0; line < lines; line++) fetchLine(line * 64);
      advance(bytes);
    }
    [[gnu::always_inline]] void fetchLine(int offset) const {
      __builtin_prefetch(at + offset, 0, 2);
      __builtin_prefetch(again + offset, 0, 2);
      __builtin_prefetch(last + offset, 0, 2);
    }
    [[gnu::always_inline]] void advance(int64_t by) {
      at += by;
      again += by;
      last += by;
    }
  } steps;

  [[gnu::always_inline]] void rest() {
    for (owed += left; owed >= blocks; owed -= blocks) {
      steps.fetchLine(0);
      steps.advance(64);
    }
  }

private:
  /** Of what follows the first key of the tile by so many bytes. */
  const std::byte *place(int64_t offset) const { return offset < bytes ? keys + offset : next + (offset - bytes); }

  const std::byte *keys;
  int64_t stride, bytes;
  const std::byte *next;
  /** Lines that steps leave, over all blocks; times `blocks`, those that are due. */
  int64_t left = 0, owed = 0;
  int64_t blocks = 1;
};

} // namespace
} // namespace polymla::cpu
