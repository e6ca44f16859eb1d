#pragma once

#include <cstddef>

#include "few-rows-keys.h"

namespace polymla::cpu {
namespace {

/**
 * Attention of a few rows in progress, followed in memory by its arrays. Logits are in powers of two. A lane of
 * the softmax is a key of a group and a row. Weights are 2^(logit − base); the base is the first maximum met,
 * replaced only by one that is larger by 8, so that rescaling is rare.
 */
struct FewRowsState {
  int rows, headDim, valueDim; // as in AttentionF32, these four come first
  Compute compute;
  int lines, valueLines;

  float *queries;  // [lines][rows][LINE], in the order of the key type
  float *out;      // [valueLines][rows][LINE]
  float *products; // [rows][group][16]: sums over their lanes are logits
  float *logits;   // [rows][TILE_KEYS], and weights; of whole tiles only
  float *weights;  // [rows][group], as all that follows
  float *base;     // 0 before the first maximum
  float *limit;    // of logits that need no other base
  float *maximum;
  float *sum;
  float *staged[2]; // [group][lines][LINE]: keys after conversion, of two groups
};

/** Divides `memory`, aligned to 64 bytes, or with null only measures. */
inline size_t layOutFewRows(FewRowsState &state, std::byte *memory, int rows, int headDim, int valueDim,
                            Compute compute) {
  size_t used = (sizeof state + 63) / 64 * 64;
  const auto take = [&](int floats) {
    std::byte *part = memory == nullptr ? nullptr : memory + used;
    used += (static_cast<size_t>(floats) * sizeof(float) + 63) / 64 * 64;
    return reinterpret_cast<float *>(part);
  };
  withFewKeys(compute, [&](auto keys) {
    state.rows = rows;
    state.headDim = headDim;
    state.valueDim = valueDim;
    state.compute = compute;
    state.lines = keys.positions(headDim) / LINE;
    state.valueLines = keys.positions(valueDim) / LINE;
    const int lanes = (rows * keys.group + 15) / 16 * 16;
    state.queries = take(state.lines * rows * LINE);
    state.out = take(state.valueLines * rows * LINE);
    state.products = take(lanes * 16);
    state.logits = take(keys.wholeTiles ? rows * TILE_KEYS : 0);
    for (float **array : {&state.weights, &state.base, &state.limit, &state.maximum, &state.sum}) {
      *array = take(lanes);
    }
    for (float *&group : state.staged) group = take(keys.staged ? keys.group * state.lines * LINE : 0);
  });
  return used;
}

} // namespace
} // namespace polymla::cpu
