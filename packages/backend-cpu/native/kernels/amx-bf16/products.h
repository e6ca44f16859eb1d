#pragma once

#include "../avx512-bf16/state.h"
#include "tiles.h"

namespace polymla::cpu {
namespace {

/*
 * Products of tile registers: 0 … 3 hold sums, 4 … 7 factors. Four of them take the unit 64 cycles and the
 * rest of the processor almost nothing; those of queries call `work` meanwhile, which does a part of
 * something else.
 */

/** Keys whose weights are held until values are multiplied: outputs are loaded and stored once for all of
 * them. */
constexpr int GROUP_KEYS = 4 * TILE_KEYS;
/** Keys that one product of values takes. */
constexpr int STEP_KEYS = 32;

inline const uint32_t *queryTile(const Bf16State &state, int vector, int step) {
  return state.queries + (static_cast<size_t>(vector) * state.pairs + step * TILE_ROWS) * LANES;
}

/** `logits`: [vectors][TILE_KEYS][LANES]. */
inline float *logitTile(float *logits, int vector, int key) {
  return logits + (static_cast<size_t>(vector) * TILE_KEYS + key) * LANES;
}

/** Weights of 16 rows and 32 keys: [row][key]. */
inline uint32_t *weightTile(const Bf16State &state, int vector, int step) {
  return state.weights + (static_cast<size_t>(vector) * (GROUP_KEYS / STEP_KEYS) + step) * TILE_WORDS;
}

/** Interleaved values of 32 keys and 16 columns of a panel. */
inline uint32_t *panelTile(uint32_t *panel, int step, int tile) {
  return panel + (static_cast<size_t>(step) * (VALUE_BLOCK / LANES) + tile) * TILE_WORDS;
}

/** Products of `count` keys, or up to 31 more, with 32 rows. Two tiles of keys times two of queries at a time. */
template <class Work>
inline void multiplyTwoVectors(const Bf16State &state, int vector, const std::byte *keys, int count,
                               int64_t stride, float *logits, Work work) {
  for (int j = 0; j < count; j += 2 * TILE_ROWS) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const std::byte *first = keys + j * stride, *second = first + TILE_ROWS * stride;
    for (int step = 0; step < state.pairs / TILE_ROWS; step++) {
      _tile_loadd(4, first + step * TILE_ROW_BYTES, stride);
      _tile_loadd(6, queryTile(state, vector, step), TILE_ROW_BYTES);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, second + step * TILE_ROW_BYTES, stride);
      _tile_dpbf16ps(1, 5, 6);
      _tile_loadd(7, queryTile(state, vector + 1, step), TILE_ROW_BYTES);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
      work();
    }
    _tile_stored(0, logitTile(logits, vector, j), TILE_ROW_BYTES);
    _tile_stored(1, logitTile(logits, vector, j + TILE_ROWS), TILE_ROW_BYTES);
    _tile_stored(2, logitTile(logits, vector + 1, j), TILE_ROW_BYTES);
    _tile_stored(3, logitTile(logits, vector + 1, j + TILE_ROWS), TILE_ROW_BYTES);
  }
}

/** The same for 16 rows: four tiles of keys times one of queries. */
template <class Work>
inline void multiplyVector(const Bf16State &state, int vector, const std::byte *keys, int64_t stride,
                           float *logits, Work work) {
  const int64_t down = TILE_ROWS * stride;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int step = 0; step < state.pairs / TILE_ROWS; step++, keys += TILE_ROW_BYTES) {
    _tile_loadd(7, queryTile(state, vector, step), TILE_ROW_BYTES);
    _tile_loadd(4, keys, stride);
    _tile_dpbf16ps(0, 4, 7);
    _tile_loadd(5, keys + down, stride);
    _tile_dpbf16ps(1, 5, 7);
    _tile_loadd(6, keys + 2 * down, stride);
    _tile_dpbf16ps(2, 6, 7);
    _tile_loadd(4, keys + 3 * down, stride);
    _tile_dpbf16ps(3, 4, 7);
    work();
  }
  _tile_stored(0, logitTile(logits, vector, 0), TILE_ROW_BYTES);
  _tile_stored(1, logitTile(logits, vector, TILE_ROWS), TILE_ROW_BYTES);
  _tile_stored(2, logitTile(logits, vector, 2 * TILE_ROWS), TILE_ROW_BYTES);
  _tile_stored(3, logitTile(logits, vector, 3 * TILE_ROWS), TILE_ROW_BYTES);
}

/** output[vector, vector + 1][32 columns] += weights · panel, over `steps` times 32 keys. */
inline void addToTwoVectors(const Bf16State &state, int vector, int column, uint32_t *panel, int steps) {
  float *first = outputAt(state, vector * LANES, column),
        *second = outputAt(state, (vector + 1) * LANES, column);
  _tile_loadd(0, first, TILE_ROW_BYTES);
  _tile_loadd(1, first + OUTPUT_STEP, TILE_ROW_BYTES);
  _tile_loadd(2, second, TILE_ROW_BYTES);
  _tile_loadd(3, second + OUTPUT_STEP, TILE_ROW_BYTES);
  for (int step = 0; step < steps; step++) {
    _tile_loadd(4, weightTile(state, vector, step), TILE_ROW_BYTES);
    _tile_loadd(6, panelTile(panel, step, 0), TILE_ROW_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panelTile(panel, step, 1), TILE_ROW_BYTES);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, weightTile(state, vector + 1, step), TILE_ROW_BYTES);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, first, TILE_ROW_BYTES);
  _tile_stored(1, first + OUTPUT_STEP, TILE_ROW_BYTES);
  _tile_stored(2, second, TILE_ROW_BYTES);
  _tile_stored(3, second + OUTPUT_STEP, TILE_ROW_BYTES);
}

/** output[vector][32 columns] += weights · panel. */
inline void addToVector(const Bf16State &state, int vector, int column, uint32_t *panel, int steps) {
  float *output = outputAt(state, vector * LANES, column);
  _tile_loadd(0, output, TILE_ROW_BYTES);
  _tile_loadd(1, output + OUTPUT_STEP, TILE_ROW_BYTES);
  for (int step = 0; step < steps; step++) {
    _tile_loadd(4, weightTile(state, vector, step), TILE_ROW_BYTES);
    _tile_loadd(6, panelTile(panel, step, 0), TILE_ROW_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panelTile(panel, step, 1), TILE_ROW_BYTES);
    _tile_dpbf16ps(1, 4, 7);
  }
  _tile_stored(0, output, TILE_ROW_BYTES);
  _tile_stored(1, output + OUTPUT_STEP, TILE_ROW_BYTES);
}

} // namespace
} // namespace polymla::cpu
