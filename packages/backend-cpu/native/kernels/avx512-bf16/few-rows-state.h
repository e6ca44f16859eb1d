#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "few-rows-keys.h"
#include "state.h"

namespace polymla::cpu {
namespace {

/**
 * Attention of a few rows in progress, by products of bf16 pairs, followed in memory by its arrays. Logits are in powers of
 * two. Weights are 2^(logit − base). A lane of what belongs to a row has every 16th key of a tile.
 */
struct FewPairsState {
  int rows, headDim, valueDim;
  Compute compute;
  float scale;     // of the products
  int lines;       // of a key
  int valueLines;  // of a value
  int scaleGroups; // of a value, one where there are no scales

  uint16_t *queries; // [lines][rows][PAIR_LINE], in the order of the key type
  float *out;        // [valueLines][2][rows][2][16], the halves' two vectors interleaved
  float *products;   // [rows][16][16]: sums over their lanes are logits, of 16 keys
  float *logits;     // [rows][TILE_KEYS]
  float *scales;     // [groups of a key or a value][TILE_KEYS]
  uint64_t *weights; // [scaleGroups][rows][TILE_KEYS / 2]: pairs of bf16 in the low halves
  float *base;       // [rows][16], as all that follows; 0 before the first maximum
  float *limit;      // of logits that need no other base
  float *maximum;
  float *sum;
  /** [scaleGroups or 1][rows][16]: of rounded weights, to divide outputs by what they were made with. */
  float *roundedSum;
};

inline size_t layOutFewPairs(FewPairsState &state, std::byte *memory, int rows, int headDim, int valueDim, Compute compute) {
  Carver carver{memory, (sizeof state + 63) / 64 * 64};
  withPairKeys(compute, [&](auto keys) {
    state.rows = rows;
    state.headDim = headDim;
    state.valueDim = valueDim;
    state.compute = compute;
    state.lines = ceilDiv(headDim, PAIR_LINE);
    state.valueLines = ceilDiv(valueDim, PAIR_LINE);
    state.scaleGroups = 1;
    int scaleGroups = 0;
    if constexpr (keys.scaleGroup != 0) {
      state.scaleGroups = ceilDiv(valueDim, keys.scaleGroup);
      scaleGroups = std::max(state.scaleGroups, keys.codes / keys.scaleGroup);
    }
    const auto some = static_cast<size_t>(rows), groups = static_cast<size_t>(state.scaleGroups);
    state.queries = carver.take<uint16_t>(static_cast<size_t>(state.lines) * some * PAIR_LINE);
    state.out = carver.take<float>(static_cast<size_t>(state.valueLines) * some * PAIR_LINE);
    state.products = carver.take<float>(some * 256);
    state.logits = carver.take<float>(some * TILE_KEYS);
    state.scales = carver.take<float>(static_cast<size_t>(scaleGroups) * TILE_KEYS);
    state.weights = carver.take<uint64_t>(groups * some * TILE_KEYS / 2);
    for (float **array : {&state.base, &state.limit, &state.maximum, &state.sum}) *array = carver.take<float>(some * 16);
    state.roundedSum = carver.take<float>((keys.exactScales ? 1 : groups) * some * 16);
  });
  return carver.used;
}

} // namespace
} // namespace polymla::cpu
