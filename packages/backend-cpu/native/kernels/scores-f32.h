#pragma once

#include <cstddef>
#include <cstdint>

#include "ahead.h"
#include "blocks.h"

namespace polymla::cpu {
namespace {

/** Dims whose queries stay in the first-level cache while all keys of a tile pass. */
constexpr int SCORE_DIMS = 192;

/** Sums of products of `keys` keys and `vectors` vectors of query rows over some dims, added to scores[key][row]. */
template <class V, int vectors, int keys>
inline void scoreBlock(const float *queries, const std::byte *key, int64_t stride, int dims, bool first, float *scores) {
  constexpr int rows = vectors * V::lanes;
  typename V::Floats sums[keys][vectors] = {};
  for (int d = 0; d < dims; d++) {
    typename V::Floats q[vectors];
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) q[v] = V::load(queries + d * rows + v * V::lanes);
#pragma GCC unroll 32
    for (int k = 0; k < keys; k++) {
      const auto number = V::broadcast(reinterpret_cast<const float *>(key + k * stride)[d]);
#pragma GCC unroll 32
      for (int v = 0; v < vectors; v++) sums[k][v] = V::fma(number, q[v], sums[k][v]);
    }
  }
#pragma GCC unroll 32
  for (int k = 0; k < keys; k++) {
#pragma GCC unroll 32
    for (int v = 0; v < vectors; v++) {
      float *score = scores + k * rows + v * V::lanes;
      V::store(score, first ? sums[k][v] : V::load(score) + sums[k][v]);
    }
  }
}

/**
 * scores[key][row] = q · k with lanes for query rows, of which the keys are broadcast.
 *
 * @param queries [dims][vectors · lanes]
 * @param keys [count] f32, `stride` bytes apart
 */
template <class V, int vectors>
inline void scoreTile(const float *queries, const std::byte *keys, int64_t stride, int count, int dims, float *scores) {
  constexpr int rows = vectors * V::lanes;
  constexpr int most = V::accumulators / vectors < 12 ? V::accumulators / vectors : 12;
  for (int d = 0; d < dims; d += SCORE_DIMS) {
    const int width = dims - d < SCORE_DIMS ? dims - d : SCORE_DIMS;
    forBlocks<most>(count, [&](int begin, int size) {
      withConstant<most>(size, [&](auto block) {
        const std::byte *first = keys + begin * stride + d * sizeof(float);
        scoreBlock<V, vectors, block.value>(queries + d * rows, first, stride, width, d == 0, scores + begin * rows);
      });
    });
  }
}

/** scores[key][row] for a few rows and keys: vectors go along the dims, and sums over lanes end them. */
template <class V, class Keys, int rows, int keys>
inline void fewRowsScoreBlock(const float *queries, const std::byte *key, int64_t stride, int dims, Ahead &ahead,
                              float *scores) {
  constexpr int padded = (rows * keys + 3) / 4 * 4;
  typename V::Floats sums[padded] = {}; // [keys][rows]
  Ahead fetch = ahead;
  for (int d = 0; d < dims; d += V::lanes) {
    fetch.work(keys);
    typename V::Floats k[keys];
#pragma GCC unroll 32
    for (int i = 0; i < keys; i++) k[i] = Keys::load(key + i * stride + d * Keys::bytes);
#pragma GCC unroll 32
    for (int r = 0; r < rows; r++) {
      const auto q = V::load(queries + r * dims + d);
#pragma GCC unroll 32
      for (int i = 0; i < keys; i++) sums[i * rows + r] = V::fma(q, k[i], sums[i * rows + r]);
    }
  }
  ahead = fetch;
  float totals[padded];
#pragma GCC unroll 32
  for (int i = 0; i < padded; i += 4) V::sum4(totals + i, sums[i], sums[i + 1], sums[i + 2], sums[i + 3]);
#pragma GCC unroll 32
  for (int i = 0; i < rows * keys; i++) scores[i / rows * V::lanes + i % rows] = totals[i];
}

/**
 * scores[key][row], a vector of rows per key, for up to V::fewRows rows.
 *
 * @param queries [rows][dims]
 * @param keys [count], `stride` bytes apart
 */
template <class V, class Keys, int rows>
inline void fewRowsScoreTile(const float *queries, const std::byte *keys, int64_t stride, int count, int dims,
                             Ahead &ahead, float *scores) {
  constexpr int most = V::accumulators / rows < 8 ? V::accumulators / rows : 8;
  forBlocks<most>(count, [&](int begin, int size) {
    withConstant<most>(size, [&](auto block) {
      fewRowsScoreBlock<V, Keys, rows, block.value>(queries, keys + begin * stride, stride, dims, ahead,
                                                    scores + begin * V::lanes);
    });
  });
}

} // namespace
} // namespace polymla::cpu
