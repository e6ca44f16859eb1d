#pragma once

#include <cmath>
#include <cstring>

#include "../avx512/intrinsics.h"
#include "../convert.h"
#include "state.h"
#include "transpose.h"

namespace polymla::cpu {
namespace {

/** Whether bf16 holds every number of a dtype. */
inline bool isBf16(uint32_t dtype) { return dtype == PMLA_BF16 || dtype == PMLA_E4M3; }

/** 16 pairs of bf16 of a row, from dim `dim` on; zeros behind the last of `dims`. The dtype is one that bf16
 * holds. */
inline __m512i queryPairs(const void *row, uint32_t dtype, int dim, int dims) {
  const int left = dims - dim < 2 * LANES ? dims - dim : 2 * LANES;
  const __mmask32 present = static_cast<__mmask32>((uint64_t{1} << left) - 1);
  if (dtype == PMLA_BF16) return _mm512_maskz_loadu_epi16(present, static_cast<const uint16_t *>(row) + dim);
  uint16_t codes[2 * LANES];
  for (int i = 0; i < left; i++)
    codes[i] = encodeBf16(decodeE4m3(static_cast<const uint8_t *>(row)[dim + i]));
  return _mm512_maskz_loadu_epi16(present, codes);
}

/** Packs the queries and forgets all keys. The arrays are laid out already. */
inline void beginState(Bf16State &state, const Queries &queries) {
  constexpr double LOG2_E = 1.4426950408889634;
  // Not 0, so that hidden logits stay −∞.
  state.scale = static_cast<float>(std::fmax(std::fabs(queries.scale) * LOG2_E, 1e-37));
  const __m512i flip = _mm512_set1_epi16(queries.scale < 0 ? static_cast<int16_t>(0x8000) : int16_t{0});
  const int laneRows = state.vectors * LANES;
  std::memset(state.output, 0, sizeof(float) * static_cast<size_t>(laneRows * state.columns));
  for (int row = 0; row < laneRows; row++) {
    state.reference[row] = state.maximum[row] = -INFINITY;
    state.sum[row] = state.weightSum[row] = 0;
  }
  const auto pairsOf = [&](int row, int pair) {
    if (row >= state.rows) return _mm512_setzero_si512();
    return _mm512_xor_si512(queryPairs(queries.rows[row], queries.dtype, 2 * pair, state.headDim), flip);
  };
  uint32_t *target = state.queries;
  for (int row = 0; row < laneRows; row += LANES) {
    for (int p = 0; p < state.pairs; p += LANES) {
      __m512i block[LANES];
      for (int r = 0; r < LANES; r++) block[r] = pairsOf(row + r, p);
      transpose(block);
      for (int i = 0; i < LANES; i++, target += LANES) _mm512_store_si512(target, block[i]);
    }
  }
}

} // namespace
} // namespace polymla::cpu
