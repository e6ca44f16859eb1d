#pragma once

#include <cmath>

#include "../kernels.h"

namespace polymla::cpu {
namespace {

/** Keys of a tile that are taken together where there are no groups: they stay in the first-level cache for the second product. */
constexpr int PART_KEYS = 16;

/** Keys that are taken together, and as many later ones to be fetched meanwhile. */
template <int SIZE> struct KeyGroup {
  static constexpr int SCALES = 8; // bytes of the scales of a key, where they are apart

  int count;
  int index[SIZE]; // in the tile
  const std::byte *keys[SIZE];
  const std::byte *scales[SIZE];
  const std::byte *ahead[SIZE];

  void add(const KeyTile &tile, int key, const KeyTile *aheadTile, int aheadKey) {
    index[count] = key;
    keys[count] = tile.keys + key * tile.stride;
    scales[count] = tile.scales == nullptr ? nullptr : tile.scales + key * SCALES;
    ahead[count] = aheadTile == nullptr ? keys[count] : aheadTile->keys + aheadKey * aheadTile->stride;
    count++;
  }
};

/**
 * Takes the keys of tiles in groups. `attention` computes the scores of a group beside the products with the values of the
 * group before (`pass`), then turns the scores into weights (`weigh`) and keeps the group for the next pass (`hold`).
 *
 * Keys of STREAMS parts of a tile take turns: the processor's own prefetching keeps more reads under way for several
 * streams than for one. No group crosses tiles: results depend on these alone.
 */
template <int SIZE, class Attention>
inline void takeInGroups(Attention &attention, const KeyTile *tiles, int count, const KeyTile *following) {
  constexpr int STREAMS = 4;
  constexpr int AHEAD = 2; // keys of a stream
  KeyGroup<SIZE> next{}, held{};
  for (int i = 0; i < count; i++) {
    const KeyTile &tile = tiles[i];
    const KeyTile *after = i + 1 < count ? &tiles[i + 1] : following;
    const int length = (tile.count + STREAMS - 1) / STREAMS;
    for (int key = 0, left = tile.count; key < length; key++) {
      for (int index = key; index < tile.count; index += length) {
        const bool inside = key + AHEAD < length;
        next.add(tile, index, inside ? &tile : after, index + AHEAD - (inside ? 0 : length));
        if (--left > 0 && next.count < SIZE) continue;
        attention.pass(next, held);
        attention.weigh(next, tile.visible);
        held = next;
        attention.hold(held);
        next.count = 0;
      }
    }
  }
  attention.pass(next, held);
}

/** Weights are 2^(logit − base): a base gives way to a maximum that is larger by so much. */
constexpr float RAISE_ABOVE = 8;

/**
 * Makes maxima that exceed the limits the bases. A row has SIZE lanes in each array of the state; `rescale(row, factor)`
 * is for what else was made with the base before.
 */
template <int SIZE, class State, class Rescale> inline void raiseBases(const State &state, Rescale rescale) {
  for (int row = 0; row < state.rows; row++) {
    const int lane = row * SIZE;
    float maximum = -INFINITY;
    for (int i = lane; i < lane + SIZE; i++) maximum = std::fmax(maximum, state.maximum[i]);
    if (!(maximum > state.limit[lane])) continue;
    const bool first = state.limit[lane] == -INFINITY; // nothing to rescale
    const float factor = first ? 0 : std::exp2(state.base[lane] - maximum);
    for (int i = lane; i < lane + SIZE; i++) {
      state.base[i] = maximum;
      state.limit[i] = maximum + RAISE_ABOVE;
      state.sum[i] *= factor;
    }
    rescale(row, factor);
  }
}

} // namespace
} // namespace polymla::cpu
