#pragma once

#include <utility>

#include "kernels.h"

namespace polymla::cpu {
namespace {

/**
 * Fetches keys of tiles before they are worked on, in the order of their addresses: that way the processor's own
 * prefetching, which alone has enough reads under way to use the memory fully, runs along.
 */
class Ahead {
public:
  /**
   * @param following the tile after the last one, or null
   * @param rate bytes to fetch per unit of work
   */
  Ahead(const KeyTile *tiles, int count, const KeyTile *following, int keyBytes, int rate)
      : next(tiles), end(tiles + count), following(following), keyBytes(keyBytes), rate(rate) {
    take();
  }

  /** Leaves out the first keys, since nothing comes before them. */
  void skip(int keys) {
    for (; keys > 0 && left > 0; keys--) nextKey();
  }

  /** Lets so many more keys be fetched by the work that follows. */
  void grant(int keys) {
    granted = keys;
    due = 0;
  }

  void work(int units) {
    due += units * rate;
    while (due >= LINE && granted > 0 && left > 0) {
      __builtin_prefetch(key + at, 0, 2);
      due -= LINE;
      at += LINE;
      if (at >= keyBytes) {
        granted--;
        nextKey();
      }
    }
  }

private:
  static constexpr int LINE = 64;

  void nextKey() {
    at = 0;
    key += stride;
    if (--left == 0) take();
  }
  void take() {
    const KeyTile *taken = next != end ? next++ : std::exchange(following, nullptr);
    if (taken == nullptr) return;
    key = taken->keys;
    stride = taken->stride;
    left = taken->count;
  }

  const KeyTile *next;
  const KeyTile *end;
  const KeyTile *following;
  const std::byte *key = nullptr;
  int64_t stride = 0;
  int left = 0; // keys of the tile
  int granted = 0;
  int keyBytes;
  int rate;
  int at = 0; // byte of the key
  int due = 0;
};

} // namespace
} // namespace polymla::cpu
