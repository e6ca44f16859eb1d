#pragma once

#include "../avx512/intrinsics.h"

#include "../ahead.h"
#include "rows.h"
#include "softmax.h"
#include "state.h"

namespace polymla::cpu {
namespace {

/** Sums over the lanes of 16 vectors, the i-th in lane i. */
inline __m512 sumsOf(const __m512 (&vectors)[LANES]) {
  __m512 pairs[8], quads[4], halves[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    pairs[i] = _mm512_add_ps(_mm512_unpacklo_ps(vectors[2 * i], vectors[2 * i + 1]),
                             _mm512_unpackhi_ps(vectors[2 * i], vectors[2 * i + 1]));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512d a = _mm512_castps_pd(pairs[2 * i]), b = _mm512_castps_pd(pairs[2 * i + 1]);
    quads[i] =
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  for (int i = 0; i < 2; i++) {
    halves[i] = _mm512_add_ps(_mm512_shuffle_f32x4(quads[2 * i], quads[2 * i + 1], 0x88),
                              _mm512_shuffle_f32x4(quads[2 * i], quads[2 * i + 1], 0xdd));
  }
  return _mm512_add_ps(_mm512_shuffle_f32x4(halves[0], halves[1], 0x88),
                       _mm512_shuffle_f32x4(halves[0], halves[1], 0xdd));
}

/**
 * Products q·k of `ROWS` rows from row `from` on: lanes are pairs of dims, 16 sums are folded together. Keys
 * behind the last repeat it.
 */
template <int ROWS>
inline void multiplyFewQueries(const Bf16State &state, int from, const KeyTile &tile, Ahead &ahead) {
  constexpr int KEYS = LANES / ROWS;
  constexpr int TOGETHER = KEYS < 4 ? KEYS : 4; // keys that share the loads of the queries
  const uint32_t *queries = state.queries + static_cast<size_t>(from) * state.pairs;
  const int whole = state.headDim / VALUE_BLOCK * LANES; // pairs in whole vectors
  for (int j = 0; j < tile.count; j += KEYS) {
    __m512 products[LANES];
#pragma GCC unroll 4
    for (int part = 0; part < KEYS; part += TOGETHER) {
      const std::byte *key[TOGETHER];
      __m512 sums[ROWS][TOGETHER];
      for (int k = 0; k < TOGETHER; k++) {
        const int index = j + part + k;
        key[k] = tile.keys + (index < tile.count ? index : tile.count - 1) * tile.stride;
        for (int r = 0; r < ROWS; r++) sums[r][k] = _mm512_setzero_ps();
      }
      const auto step = [&](int p, __mmask16 present) {
        __m512bh keys[TOGETHER];
        for (int k = 0; k < TOGETHER; k++)
          keys[k] = asBf16(_mm512_maskz_loadu_epi32(present, key[k] + p * 4));
        for (int r = 0; r < ROWS; r++) {
          const __m512bh query = asBf16(_mm512_load_si512(queries + r * state.pairs + p));
          for (int k = 0; k < TOGETHER; k++) sums[r][k] = _mm512_dpbf16_ps(sums[r][k], query, keys[k]);
        }
      };
      for (int p = 0; p < whole; p += LANES) {
        step(p, 0xffff);
        ahead.work(TOGETHER / 2);
      }
      if (whole < state.headDim / 2) step(whole, 0xff);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 4
        for (int k = 0; k < TOGETHER; k++) products[r * KEYS + part + k] = sums[r][k];
      }
    }
    const __m512 folded = sumsOf(products);
    float *logits = state.logits + static_cast<size_t>(from) * TILE_KEYS + j;
    if constexpr (ROWS == 1) {
      _mm512_store_ps(logits, folded);
    } else if constexpr (ROWS == 2) {
      _mm256_store_ps(logits, _mm512_castps512_ps256(folded));
      _mm256_store_ps(logits + TILE_KEYS, _mm512_extractf32x8_ps(folded, 1));
    } else {
      _mm_store_ps(logits, _mm512_castps512_ps128(folded));
      _mm_store_ps(logits + TILE_KEYS, _mm512_extractf32x4_ps(folded, 1));
      _mm_store_ps(logits + 2 * TILE_KEYS, _mm512_extractf32x4_ps(folded, 2));
      _mm_store_ps(logits + 3 * TILE_KEYS, _mm512_extractf32x4_ps(folded, 3));
    }
  }
}

/** Online softmax of one row: 64 logits in, 64 bf16 weights out, 0 for keys that are not there or not
 * visible. */
inline void softmaxFewRow(Bf16State &state, int row, uint64_t visible) {
  constexpr int VECTORS = TILE_KEYS / LANES;
  const float *logits = state.logits + static_cast<size_t>(row) * TILE_KEYS;
  uint32_t *weights = state.weights + static_cast<size_t>(row) * (TILE_KEYS / 2);
  const __m512 scale = _mm512_set1_ps(state.scale), never = _mm512_set1_ps(-INFINITY);
  __m512 logit[VECTORS], most = never;
  for (int v = 0; v < VECTORS; v++) {
    const __mmask16 seen = static_cast<__mmask16>(visible >> v * LANES);
    logit[v] = _mm512_mask_mul_ps(never, seen, _mm512_load_ps(logits + v * LANES), scale);
    most = maxOf(most, logit[v]);
  }
  const float maximum = _mm512_reduce_max_ps(most);
  float &reference = state.reference[row];
  if (maximum > state.maximum[row]) state.maximum[row] = maximum;
  if (maximum > reference + RESCALE_ABOVE) {
    if (reference > -INFINITY) {
      const float factor = _mm512_cvtss_f32(exp2<Avx512Vec>(_mm512_set1_ps(reference - maximum)));
      state.sum[row] *= factor;
      state.weightSum[row] *= factor;
      rescaleRow(state, row, factor);
    }
    reference = maximum;
  }
  const __m512 subtract = _mm512_set1_ps(reference > -INFINITY ? reference : 0);
  __m512 sum = _mm512_setzero_ps(), rounded = sum;
  for (int v = 0; v < VECTORS; v++) {
    const __m512 weight = exp2<Avx512Vec>(_mm512_sub_ps(logit[v], subtract));
    sum = _mm512_add_ps(sum, weight);
    const __m512i code = pairWeights(weight, _mm512_setzero_ps(), rounded);
    _mm256_store_si256(reinterpret_cast<__m256i *>(weights) + v, _mm512_cvtepi32_epi16(code));
  }
  state.sum[row] += _mm512_reduce_add_ps(sum);
  state.weightSum[row] += _mm512_reduce_add_ps(rounded);
}

/**
 * Adds weights × values to `VECTORS` vectors of output columns of `ROWS` rows. Values are interleaved on the
 * way, which costs as much as storing and loading them.
 */
template <int ROWS, int VECTORS>
inline void addFewValues(const Bf16State &state, int from, const KeyTile &tile, int column, Ahead &ahead) {
  float *output = outputAt(state, from, column);
  const uint32_t *weights = state.weights + static_cast<size_t>(from) * (TILE_KEYS / 2);
  __m512 sums[ROWS][VECTORS];
  for (int r = 0; r < ROWS; r++) {
    for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_load_ps(output + v * OUTPUT_STEP + r * LANES);
  }
  for (int j = 0; j < tile.count; j += 2) {
    const std::byte *first = tile.keys + j * tile.stride;
    const std::byte *second = j + 1 < tile.count ? first + tile.stride : first; // its weight is 0
    __m512bh values[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v += 2) {
      const ValuePairs pairs = interleave(state, first, second, column + v * LANES);
      values[v] = asBf16(pairs.low);
      values[v + 1] = asBf16(pairs.high);
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
      const __m512bh weight = broadcastPair(weights + r * (TILE_KEYS / 2) + j / 2);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weight, values[v]);
    }
    ahead.work(VECTORS / 2);
  }
  for (int r = 0; r < ROWS; r++) {
    for (int v = 0; v < VECTORS; v++) _mm512_store_ps(output + v * OUTPUT_STEP + r * LANES, sums[r][v]);
  }
}

/** One tile for a group of rows. Every second cache line read is one for `ahead`, as lines are read twice. */
template <int ROWS> inline void attendGroup(Bf16State &state, int from, const KeyTile &tile, Ahead &ahead) {
  constexpr int VECTORS = ROWS == 4 ? 4 : 8;
  multiplyFewQueries<ROWS>(state, from, tile, ahead);
  const uint64_t present = tile.count == TILE_KEYS ? ~uint64_t{0} : (uint64_t{1} << tile.count) - 1;
  for (int row = from; row < from + ROWS; row++) {
    const bool masked = tile.visible != nullptr && row < state.rows;
    softmaxFewRow(state, row, masked ? tile.visible[row] & present : present);
  }
  int column = 0;
  for (; column + VECTORS * LANES <= state.columns; column += VECTORS * LANES) {
    addFewValues<ROWS, VECTORS>(state, from, tile, column, ahead);
  }
  if (column < state.columns) addFewValues<ROWS, PANEL_COLUMNS / LANES>(state, from, tile, column, ahead);
}

/** Tiles for up to FEW_ROWS rows, in groups: three rows count as four. */
inline void attendFewRows(Bf16State &state, const KeyTile *tiles, int count) {
  Ahead ahead(tiles, count, state.headDim * 2, LINE);
  ahead.skip(tiles[0].count);
  for (int i = 0; i < count; i++) {
    ahead.grant(TILE_KEYS);
    int row = 0;
    for (; row + 2 < state.rows; row += ROW_GROUP) attendGroup<4>(state, row, tiles[i], ahead);
    if (row + 2 == state.rows) {
      attendGroup<2>(state, row, tiles[i], ahead);
    } else if (row + 1 == state.rows) {
      attendGroup<1>(state, row, tiles[i], ahead);
    }
  }
}

} // namespace
} // namespace polymla::cpu
