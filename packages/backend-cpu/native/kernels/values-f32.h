#pragma once

#include <cstddef>
#include <cstdint>

#include "ahead.h"
#include "blocks.h"
#include "in-f32.h"
#include "next-tile.h"

namespace polymla::cpu {
namespace {

/** What products with the values read: `count` keys of a tile and the weights that rows give them. */
struct WeightedValues {
  const float *weights; // [count][weightStride]
  int weightStride;
  const std::byte *values; // [count], `stride` bytes apart
  int64_t stride;
  int count;
  Ahead *ahead;     // what to fetch on the way for few rows,
  NextTile *next;   // and for many
  float *converted; // room for TILE_KEYS · VALUE_VECTORS vectors, unless there are few rows or values are f32
};

/** Vectors of columns of converted values at most. */
constexpr int VALUE_VECTORS = 4;

/**
 * out[row][column] = out · rescale[row] + Σ weight · value, for `rows` rows and `vectors` vectors of columns.
 */
template <class V, class Keys, bool few, int rows, int vectors>
inline void valueBlock(const WeightedValues &tile, const float *rescale, float *out, int outStride) {
  typename V::Floats sums[rows][vectors];
#pragma GCC unroll 32
  for (int r = 0; r < rows; r++) {
    const auto factor = V::broadcast(rescale[r]);
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) sums[r][v] = V::load(out + r * outStride + v * V::lanes) * factor;
  }
  const float *weights = tile.weights;
  const std::byte *values = tile.values;
  auto ahead = [&] {
    if constexpr (few) return *tile.ahead;
    else return tile.next->steps(tile.count, rows * vectors);
  }();
  for (int key = 0; key < tile.count; key++) {
    if constexpr (few) ahead.work(vectors);
    else ahead.fetch();
    typename V::Floats value[vectors];
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) value[v] = Keys::load(values + v * V::lanes * Keys::bytes);
#pragma GCC unroll 32
    for (int r = 0; r < rows; r++) {
      const auto weight = V::broadcast(weights[r]);
#pragma GCC unroll 32
      for (int v = 0; v < vectors; v++) sums[r][v] = V::fma(weight, value[v], sums[r][v]);
    }
    weights += tile.weightStride;
    values += tile.stride;
  }
  if constexpr (few) *tile.ahead = ahead;
#pragma GCC unroll 32
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) V::store(out + r * outStride + v * V::lanes, sums[r][v]);
  }
}

/** All rows, `most` at a time, for one block of columns after the other, which so stays in the first-level cache. */
template <class V, class Keys, bool few, int most, int vectors>
inline void valueColumns(const WeightedValues &tile, int rows, const float *rescale, float *out, int valueDim,
                         int column) {
  constexpr int width = vectors * V::lanes;
  for (; column + width <= valueDim; column += width) {
    const auto addRows = [&](auto keys, const std::byte *values, int64_t stride) {
      forBlocks<most>(rows, [&](int begin, int size) {
        withConstant<most>(size, [&](auto size) {
          WeightedValues part = tile;
          part.weights += begin;
          part.values = values;
          part.stride = stride;
          valueBlock<V, decltype(keys), few, size.value, vectors>(part, rescale + begin,
                                                                      out + begin * valueDim + column, valueDim);
        });
      });
    };
    const std::byte *values = tile.values + column * Keys::bytes;
    if constexpr (few) {
      addRows(Keys{}, values, tile.stride);
    } else {
      const F32Numbers panel = inF32<V, Keys>(values, tile.stride, tile.count, width, tile.converted);
      addRows(F32Keys<V>{}, panel.first, panel.stride);
    }
  }
  if constexpr (vectors > 1) {
    if (column < valueDim) {
      valueColumns<V, Keys, few, most, vectors / 2>(tile, rows, rescale, out, valueDim, column);
    }
  }
}

/** The largest power of two up to `number`. */
constexpr int powerOfTwo(int number) { return number < 2 ? 1 : 2 * powerOfTwo(number / 2); }

/**
 * out[row] = out[row] · rescale[row] + Σ weights[key][row] · value[key] for `rows` rows, at most `most` at a time.
 * With `few` rows it fetches ahead in small portions, since memory is the limit.
 *
 * @param out [rows][valueDim]
 */
template <class V, class Keys, bool few, int most>
inline void addValues(const WeightedValues &tile, int rows, const float *rescale, float *out, int valueDim) {
  const int blocks = (rows + most - 1) / most;
  withConstant<most>((rows + blocks - 1) / blocks, [&](auto block) {
    constexpr int fitting = powerOfTwo(V::accumulators / block.value);
    constexpr int vectors = few || fitting < VALUE_VECTORS ? fitting : VALUE_VECTORS;
    valueColumns<V, Keys, few, block.value, vectors>(tile, rows, rescale, out, valueDim, 0);
  });
}

} // namespace
} // namespace polymla::cpu
