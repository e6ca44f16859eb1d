#pragma once

#include "intrinsics.h"

#include "../exp2.h"
#include "../kernels.h"
#include "key-groups.h"
#include "vec-avx512.h"

namespace polymla::cpu {
namespace {

/**
 * Turns the logits of PART_KEYS keys of a tile, [rows][TILE_KEYS] and short of `scale`, into weights: use(row, weights), with
 * 0 for keys that are not seen. Rows have 16 lanes in the other arrays of the state; see raiseBases for `rescale`.
 */
template <int rows, class State, class Rescale, class Use>
inline void weighPart(const State &state, const KeyTile &tile, int begin, float scale, Rescale rescale, Use use) {
  const int left = tile.count - begin;
  const auto present = static_cast<__mmask16>(left >= PART_KEYS ? 0xffff : (1 << left) - 1);
  bool raise = false;
  for (int row = 0; row < rows; row++) {
    const auto seen = static_cast<__mmask16>(tile.visible == nullptr ? present : present & tile.visible[row] >> begin);
    float *at = state.logits + row * TILE_KEYS + begin, *maximum = state.maximum + row * 16;
    const __m512 logits = _mm512_mask_mul_ps(_mm512_set1_ps(-INFINITY), seen, _mm512_load_ps(at), _mm512_set1_ps(scale));
    _mm512_store_ps(at, logits);
    // Of two numbers of which one is NaN this is the second.
    _mm512_store_ps(maximum, _mm512_max_ps(logits, _mm512_load_ps(maximum)));
    raise |= _mm512_cmp_ps_mask(logits, _mm512_load_ps(state.limit + row * 16), _CMP_GT_OQ) != 0;
  }
  if (raise) [[unlikely]] raiseBases<16>(state, rescale);
  for (int row = 0; row < rows; row++) {
    const __m512 logits = _mm512_load_ps(state.logits + row * TILE_KEYS + begin);
    const __m512 weights = exp2<Avx512Vec>(_mm512_sub_ps(logits, _mm512_load_ps(state.base + row * 16)));
    float *sum = state.sum + row * 16;
    _mm512_store_ps(sum, _mm512_add_ps(weights, _mm512_load_ps(sum)));
    use(row, weights);
  }
}

} // namespace
} // namespace polymla::cpu
