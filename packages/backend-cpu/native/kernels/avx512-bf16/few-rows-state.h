#pragma once

#include <cstddef>
#include <cstdint>

#include "few-rows-keys.h"
#include "state.h"

namespace polymla::cpu {
namespace {

/** Keys that are taken at a time: two groups stay in the first-level cache. */
constexpr int FEW_PAIRS_GROUP = 8;

/**
 * Attention of a few rows in progress, by products of bf16 pairs, followed in memory by its arrays. Logits are in powers of
 * two. A lane of the softmax is a key of a group and a row: row · group + key. Weights are 2^(logit − base).
 */
struct FewPairsState {
  int rows, headDim, valueDim;
  Compute compute;
  float scale;     // of the products
  int lines;       // of a key
  int valueHalves; // half lines of a value
  int scaleGroups; // of a value, one where there are no scales

  uint16_t *queries; // [lines][rows][PAIR_LINE], in the order of the key type
  float *out;        // [valueHalves][rows][2][16], the halves' two vectors interleaved
  float *products;   // [lanes][16]: sums over their lanes are logits
  float *scales;     // [scaleGroups][16]: of the group that was scored last, repeated
  uint64_t *weights; // [scaleGroups][lanes / 2]: pairs of bf16 in the low halves
  float *base;       // [lanes], as all that follows; 0 before the first maximum
  float *limit;      // of logits that need no other base
  float *maximum;
  float *sum;
  /** [scaleGroups or 1][lanes]: of rounded weights, to divide outputs by what they were made with. */
  float *roundedSum;
  uint16_t *staged[2]; // [group][lines][PAIR_LINE]: keys after conversion, of two groups
};

inline size_t layOutFewPairs(FewPairsState &state, std::byte *memory, int rows, int headDim, int valueDim, Compute compute) {
  Carver carver{memory, (sizeof state + 63) / 64 * 64};
  withPairKeys(compute, [&](auto keys) {
    state.rows = rows;
    state.headDim = headDim;
    state.valueDim = valueDim;
    state.compute = compute;
    state.lines = ceilDiv(headDim, PAIR_LINE);
    // Codes of a line are all over it.
    state.valueHalves = keys.staged ? 2 * ceilDiv(valueDim, PAIR_LINE) : ceilDiv(valueDim, PAIR_HALF);
    if constexpr (keys.scaleGroup == 0) state.scaleGroups = 1;
    else state.scaleGroups = ceilDiv(valueDim, keys.scaleGroup);
    const auto lanes = static_cast<size_t>(ceilDiv(rows * FEW_PAIRS_GROUP, 16) * 16);
    const auto groups = static_cast<size_t>(state.scaleGroups);
    const auto numbers = static_cast<size_t>(state.lines) * PAIR_LINE;
    state.queries = carver.take<uint16_t>(numbers * static_cast<size_t>(rows));
    state.out = carver.take<float>(static_cast<size_t>(state.valueHalves * rows * PAIR_HALF));
    state.products = carver.take<float>(lanes * 16);
    state.scales = carver.take<float>(groups * 16);
    state.weights = carver.take<uint64_t>(groups * lanes / 2);
    for (float **array : {&state.base, &state.limit, &state.maximum, &state.sum}) *array = carver.take<float>(lanes);
    state.roundedSum = carver.take<float>((keys.exactScales ? 1 : groups) * lanes);
    for (uint16_t *&group : state.staged) group = carver.take<uint16_t>(keys.staged ? FEW_PAIRS_GROUP * numbers : 0);
  });
  return carver.used;
}

} // namespace
} // namespace polymla::cpu
