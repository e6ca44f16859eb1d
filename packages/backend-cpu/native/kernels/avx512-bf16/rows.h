#pragma once

#include "../avx512/intrinsics.h"

#include "../tile-after.h"
#include "softmax.h"
#include "state.h"

namespace polymla::cpu {
namespace {

/** Bytes that one prefetch brings. */
constexpr int LINE = 64;

inline __m512bh asBf16(__m512i pairs) { return reinterpret_cast<__m512bh>(pairs); }

/** The pair of bf16 at `memory` in all lanes. */
inline __m512bh broadcastPair(const void *memory) {
  int pair;
  __builtin_memcpy(&pair, memory, sizeof pair);
  return asBf16(_mm512_set1_epi32(pair));
}

/**
 * Products q·k of `VECTORS` vectors of rows from vector `from` on: lanes are rows, a key's pair of dims is
 * broadcast. `KEYS` keys at a time share the load of the queries; behind the last key its products are
 * repeated. Prefetches the same keys of the tile `ahead` bytes on, if that is not 0.
 */
template <int VECTORS, int KEYS>
inline void multiplyQueries(const Bf16State &state, int from, const KeyTile &tile, int64_t ahead) {
  const int pairs = state.headDim / 2;
  const uint32_t *queries = state.queries + static_cast<size_t>(from) * state.pairs * LANES;
  const size_t vectorStep = static_cast<size_t>(state.pairs) * LANES;
  for (int j = 0; j < tile.count; j += KEYS) {
    const std::byte *key[KEYS];
    for (int k = 0; k < KEYS; k++)
      key[k] = tile.keys + (j + k < tile.count ? j + k : tile.count - 1) * tile.stride;
    __m512 products[VECTORS][KEYS];
    for (int v = 0; v < VECTORS; v++) {
      for (int k = 0; k < KEYS; k++) products[v][k] = _mm512_setzero_ps();
    }
    for (int p = 0; p < pairs; p++) {
      if (ahead != 0 && p % (LINE / 4) == 0) {
        for (int k = 0; k < KEYS; k++) {
          _mm_prefetch(reinterpret_cast<const char *>(key[k]) + ahead + p * 4, _MM_HINT_T1);
        }
      }
      __m512bh query[VECTORS];
      for (int v = 0; v < VECTORS; v++) {
        query[v] = asBf16(_mm512_load_si512(queries + v * vectorStep + static_cast<size_t>(p) * LANES));
      }
#pragma GCC unroll 8
      for (int k = 0; k < KEYS; k++) {
        const __m512bh pair = broadcastPair(key[k] + p * 4);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) products[v][k] = _mm512_dpbf16_ps(products[v][k], query[v], pair);
      }
    }
    for (int v = 0; v < VECTORS; v++) {
      float *logits = state.logits + (static_cast<size_t>(from + v) * TILE_KEYS + j) * LANES;
      for (int k = 0; k < KEYS && j + k < tile.count; k++)
        _mm512_store_ps(logits + k * LANES, products[v][k]);
    }
  }
}

/** Interleaved columns of two keys: pairs of bf16 for two output vectors. */
struct ValuePairs {
  __m512i low, high;
};

/** A block of columns from `column` on of two keys; those from valueDim on are 0 and not read. */
inline ValuePairs interleave(const Bf16State &state, const std::byte *first, const std::byte *second,
                             int column) {
  const int left = state.valueDim - column;
  const __mmask32 present = left >= VALUE_BLOCK ? 0xffffffff : left > 0 ? 0xffff : 0;
  const __m512i even = _mm512_maskz_loadu_epi16(present, first + column * 2);
  const __m512i odd = _mm512_maskz_loadu_epi16(present, second + column * 2);
  return {_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd)};
}

/** Adds weights × values to the output columns of a panel of all rows, four rows at a time. */
inline void addValues(const Bf16State &state, const KeyTile &tile, int column) {
  constexpr int ROWS = 4;
  constexpr int VECTORS = PANEL_COLUMNS / LANES;
  const int pairs = ceilDiv(tile.count, 2);
  for (int p = 0; p < pairs; p++) {
    const std::byte *first = tile.keys + 2 * p * tile.stride;
    const std::byte *second = 2 * p + 1 < tile.count ? first + tile.stride : first; // its weight is 0
    for (int v = 0; v < VECTORS; v += 2) {
      const ValuePairs values = interleave(state, first, second, column + v * LANES);
      _mm512_store_si512(state.panel + (p * VECTORS + v) * LANES, values.low);
      _mm512_store_si512(state.panel + (p * VECTORS + v + 1) * LANES, values.high);
    }
  }
  for (int row = 0; row < state.rows; row += ROWS) {
    float *output = outputAt(state, row, column);
    const uint32_t *weights =
        state.weights + static_cast<size_t>(row / LANES) * (TILE_KEYS / 2) * LANES + row % LANES;
    __m512 sums[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++) {
      for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_load_ps(output + v * OUTPUT_STEP + r * LANES);
    }
    const uint32_t *panel = state.panel;
    for (int p = 0; p < pairs; p++, panel += VECTORS * LANES, weights += LANES) {
      __m512bh values[VECTORS];
      for (int v = 0; v < VECTORS; v++) values[v] = asBf16(_mm512_load_si512(panel + v * LANES));
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; r++) {
        const __m512bh weight = broadcastPair(weights + r);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weight, values[v]);
      }
    }
    for (int r = 0; r < ROWS; r++) {
      for (int v = 0; v < VECTORS; v++) _mm512_store_ps(output + v * OUTPUT_STEP + r * LANES, sums[r][v]);
    }
  }
}

/** Online softmax of a vector of rows: the weights of a tile's keys. */
inline void weighKeys(Bf16State &state, int vector, const KeyTile &tile) {
  float *logits = state.logits + static_cast<size_t>(vector) * TILE_KEYS * LANES;
  uint32_t *weights = state.weights + static_cast<size_t>(vector) * (TILE_KEYS / 2) * LANES;
  const int row = vector * LANES;
  raiseReference(state, row, largestLogit(state, row, logits, tile.count, tile.visible));
  RowWeights rows(state, row);
  int j = 0;
  for (; j + 2 <= tile.count; j += 2)
    _mm512_store_si512(weights + j / 2 * LANES, rows.pair(logits + j * LANES));
  if (j < tile.count) _mm512_store_si512(weights + j / 2 * LANES, rows.last(logits + j * LANES));
}

/** All tiles. */
inline void attendRows(Bf16State &state, const KeyTile *tiles, int count, const KeyTile *next) {
  for (int i = 0; i < count; i++) {
    const KeyTile &tile = tiles[i];
    const KeyTile &after = tileAfter(tiles, count, i, next);
    const bool like = after.stride == tile.stride && after.count == tile.count;
    const int64_t ahead = like ? after.keys - tile.keys : 0;
    int v = 0;
    for (; v + 4 <= state.vectors; v += 4) multiplyQueries<4, 6>(state, v, tile, v == 0 ? ahead : 0);
    switch (state.vectors - v) {
    case 3: multiplyQueries<3, 8>(state, v, tile, v == 0 ? ahead : 0); break;
    case 2: multiplyQueries<2, 8>(state, v, tile, v == 0 ? ahead : 0); break;
    case 1: multiplyQueries<1, 8>(state, v, tile, v == 0 ? ahead : 0); break;
    default: break;
    }
    for (v = 0; v < state.vectors; v++) weighKeys(state, v, tile);
    for (int column = 0; column < state.columns; column += PANEL_COLUMNS) addValues(state, tile, column);
  }
}

} // namespace
} // namespace polymla::cpu
