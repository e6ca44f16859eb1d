#pragma once

#include "../avx512/intrinsics.h"

#include <cmath>

#include "state.h"

namespace polymla::cpu {
namespace {

/** Undoes the order of columns in a block: 32 columns in two vectors, first and last 16. */
inline void orderColumns(__m512 low, __m512 high, __m512 &first, __m512 &last) {
  const __m512i firstOf = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i lastOf = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  first = _mm512_permutex2var_ps(low, firstOf, high);
  last = _mm512_permutex2var_ps(low, lastOf, high);
}

/** Normalises what the state has gathered; see Kernels::finish. */
inline void finishState(const Bf16State &state, float *out, int64_t outStride, float *lse, float *maxLogit) {
  constexpr double LN_2 = 0.6931471805599453;
  for (int row = 0; row < state.rows; row++) {
    const bool empty = state.sum[row] == 0; // the largest weight is at least 2^−RESCALE_ABOVE
    const double log2 =
        static_cast<double>(state.reference[row]) + std::log2(static_cast<double>(state.sum[row]));
    lse[row] = empty ? INFINITY : static_cast<float>(log2 * LN_2);
    if (maxLogit) maxLogit[row] = static_cast<float>(state.maximum[row] * LN_2);

    const __m512 factor = _mm512_set1_ps(empty ? 0 : 1 / state.weightSum[row]);
    float *target = out + row * outStride;
    for (int column = 0; column < state.valueDim; column += VALUE_BLOCK) {
      __m512 first, last;
      const float *output = outputAt(state, row, column);
      orderColumns(_mm512_load_ps(output), _mm512_load_ps(output + OUTPUT_STEP), first, last);
      _mm512_storeu_ps(target + column, _mm512_mul_ps(first, factor));
      if (column + LANES < state.valueDim)
        _mm512_storeu_ps(target + column + LANES, _mm512_mul_ps(last, factor));
    }
  }
}

} // namespace
} // namespace polymla::cpu
