#pragma once

#include "kernels.h"

namespace polymla::cpu {
namespace {

/**
 * Fetches a tile to the second-level cache while another is worked on: line by line in the order of addresses, evenly
 * over the work. Loops get by without a branch for it, and now and then fetch a line twice or leave one out.
 */
class NextTile {
public:
  /** @param work products of vectors that the tile at hand takes */
  NextTile(const KeyTile &tile, int keyBytes, int64_t work)
      : key(tile.keys), stride(tile.stride), left(tile.count), keyBytes(keyBytes),
        rate(int64_t{tile.count} * keyBytes * FRACTION / work + 1) {}

  struct Steps {
    const std::byte *at;
    int64_t bytes;
    void fetch() {
      __builtin_prefetch(at, 0, 2);
      at += bytes;
    }
  };

  /** For a loop of `count` steps of `products` products of vectors each; beyond the end of a key it goes straight on. */
  Steps steps(int count, int products) {
    const Steps steps = {key + at, left > 0 ? products * rate / FRACTION : 0};
    for (at += count * steps.bytes; at >= keyBytes && left > 0; at -= keyBytes, left--) key += stride;
    return steps;
  }

private:
  static constexpr int64_t FRACTION = 256;

  const std::byte *key;
  int64_t stride;
  int left; // keys
  int64_t keyBytes;
  int64_t rate;   // bytes per FRACTION products
  int64_t at = 0; // byte of the key
};

} // namespace
} // namespace polymla::cpu
