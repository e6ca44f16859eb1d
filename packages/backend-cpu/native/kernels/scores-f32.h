#pragma once

#include <cstddef>
#include <cstdint>

#include "ahead.h"
#include "blocks.h"
#include "in-f32.h"
#include "next-tile.h"

namespace polymla::cpu {
namespace {

/** Dims whose queries stay in the first-level cache while all keys of a tile pass. */
constexpr int SCORE_DIMS = 192;
/** Dims of a key that a broadcast spreads over a vector. */
constexpr int QUAD = 4;

/**
 * Sums of products of `keys` keys and a vector of query rows over some dims, written or added to scores[key][row]. Four
 * dims of a key are broadcast at once; each lane sums every fourth product of a row, and four sums make a row's.
 */
template <class V, int keys>
inline void scoreBlock(const float *queries, const std::byte *key, int64_t stride, int dims, bool first,
                       NextTile::Steps fetch, float *scores, int width) {
  typename V::Floats sums[keys][QUAD] = {};
  for (int d = 0; d < dims; d += QUAD) {
    fetch.fetch();
    typename V::Floats k[keys];
#pragma GCC unroll 32
    for (int n = 0; n < keys; n++) k[n] = V::broadcastQuad(reinterpret_cast<const float *>(key + n * stride) + d);
#pragma GCC unroll 32
    for (int r = 0; r < QUAD; r++) {
      const auto q = V::load(queries + (d + r) * V::lanes);
#pragma GCC unroll 32
      for (int n = 0; n < keys; n++) sums[n][r] = V::fma(q, k[n], sums[n][r]);
    }
  }
#pragma GCC unroll 32
  for (int n = 0; n < keys; n++) {
    const auto sum = V::sumQuads(sums[n][0], sums[n][1], sums[n][2], sums[n][3]);
    float *score = scores + n * width;
    V::store(score, first ? sum : V::load(score) + sum);
  }
}

/** Where row r of a vector of rows has its number of dim d: scoreBlock wants [dims / 4][r % 4][r / 4][d % 4]. */
template <class V> constexpr int queryPlace(int r, int d) {
  return (d / QUAD * QUAD + r % QUAD) * V::lanes + r / QUAD * QUAD + d % QUAD;
}

/**
 * scores[key][row] = q · k for `width` rows, whole vectors.
 *
 * @param queries [width / lanes], each [dims · lanes] as queryPlace says
 * @param keys [count], `stride` bytes apart
 * @param converted room for SCORE_KEYS · SCORE_DIMS floats, unless keys are f32
 */
template <class V, class Keys>
inline void scoreTile(const float *queries, const std::byte *keys, int64_t stride, int count, int dims, NextTile &next,
                      float *converted, float *scores, int width) {
  constexpr int most = V::accumulators / QUAD;
  for (int d = 0; d < dims; d += SCORE_DIMS) {
    const int part = dims - d < SCORE_DIMS ? dims - d : SCORE_DIMS;
    forBlocks<most>(count, [&](int begin, int size) {
      const F32Numbers block = inF32<V, Keys>(keys + begin * stride + d * Keys::bytes, stride, size, part, converted);
      withConstant<most>(size, [&](auto size) {
        for (int row = 0; row < width; row += V::lanes) {
          scoreBlock<V, size.value>(queries + row * dims + d * V::lanes, block.first, block.stride, part, d == 0,
                                    next.steps(part / QUAD, size.value * QUAD), scores + begin * width + row, width);
        }
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
