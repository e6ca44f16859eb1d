#pragma once

#include <cstddef>
#include <cstdint>

#include "ahead.h"
#include "blocks.h"

namespace polymla::cpu {
namespace {

/** What products with the values read: `count` keys of a tile and the weights that rows give them. */
struct WeightedValues {
  const float *weights; // [count][weightStride]
  int weightStride;
  const std::byte *values; // [count], `stride` bytes apart
  int64_t stride;
  int count;
  Ahead *ahead; // what to fetch on the way, for every key and vector of columns
};

/** out[row][column] = out · rescale[row] + Σ weight · value, for `rows` rows and, from `column` on, `vectors` vectors. */
template <class V, class Keys, bool few, int rows, int vectors>
inline void valueBlock(const WeightedValues &tile, int column, const float *rescale, float *out, int outStride) {
  out += column;
  typename V::Floats sums[rows][vectors];
#pragma GCC unroll 32
  for (int r = 0; r < rows; r++) {
    const auto factor = V::broadcast(rescale[r]);
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) sums[r][v] = V::load(out + r * outStride + v * V::lanes) * factor;
  }
  const float *weights = tile.weights;
  const std::byte *values = tile.values + column * Keys::bytes;
  Ahead ahead = *tile.ahead;
  for (int key = 0; key < tile.count; key++) {
    typename V::Floats value[vectors];
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) value[v] = Keys::load(values + v * V::lanes * Keys::bytes);
    if constexpr (few) ahead.work(vectors);
#pragma GCC unroll 32
    for (int r = 0; r < rows; r++) {
      const auto weight = V::broadcast(weights[r]);
#pragma GCC unroll 32
      for (int v = 0; v < vectors; v++) sums[r][v] = V::fma(weight, value[v], sums[r][v]);
    }
    weights += tile.weightStride;
    values += tile.stride;
  }
  if constexpr (!few) ahead.work(tile.count * vectors);
  *tile.ahead = ahead;
#pragma GCC unroll 32
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) V::store(out + r * outStride + v * V::lanes, sums[r][v]);
  }
}

/** Columns from `column` on, by blocks of `vectors` vectors, then of half as many. */
template <class V, class Keys, bool few, int rows, int vectors>
inline void valueColumns(const WeightedValues &tile, const float *rescale, float *out, int valueDim, int column) {
  constexpr int width = vectors * V::lanes;
  for (; column + width <= valueDim; column += width) {
    valueBlock<V, Keys, few, rows, vectors>(tile, column, rescale, out, valueDim);
  }
  if constexpr (vectors > 1) {
    if (column < valueDim) valueColumns<V, Keys, few, rows, vectors / 2>(tile, rescale, out, valueDim, column);
  }
}

/** The largest power of two up to `number`. */
constexpr int powerOfTwo(int number) { return number < 2 ? 1 : 2 * powerOfTwo(number / 2); }

/**
 * out[row] = out[row] · rescale[row] + Σ weights[key][row] · value[key] for `rows` rows, at most `most` at a time.
 * With `few` rows it fetches ahead in small portions, since memory is the limit; otherwise apart from the products.
 *
 * @param out [rows][valueDim]
 */
template <class V, class Keys, bool few, int most>
inline void addValues(WeightedValues tile, int rows, const float *rescale, float *out, int valueDim) {
  forBlocks<most>(rows, [&](int begin, int size) {
    withConstant<most>(size, [&](auto block) {
      constexpr int vectors = powerOfTwo(V::accumulators / block.value);
      WeightedValues part = tile;
      part.weights += begin;
      valueColumns<V, Keys, few, block.value, vectors>(part, rescale + begin, out + begin * valueDim, valueDim, 0);
    });
  });
}

} // namespace
} // namespace polymla::cpu
