#pragma once

#include <cmath>

#include "../avx512/vec-avx512.h"
#include "../exp2.h"
#include "state.h"

namespace polymla::cpu {
namespace {

inline __m512 maxOf(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }

/** Rounds weights of two keys to bf16, half up, and adds them to `rounded`; the pairs [key, key + 1] of 16
 * rows. */
inline __m512i pairWeights(__m512 first, __m512 second, __m512 &rounded) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const __m512i low = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(first), half), high);
  const __m512i up = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(second), half), high);
  rounded = _mm512_add_ps(rounded, _mm512_add_ps(_mm512_castsi512_ps(low), _mm512_castsi512_ps(up)));
  return _mm512_or_si512(_mm512_srli_epi32(low, 16), up);
}

/** Rows among 16 that see key j, from their masks. */
inline __mmask16 seeing(__m512i firstRows, __m512i lastRows, int j) {
  const __m512i bit = _mm512_set1_epi64(static_cast<int64_t>(uint64_t{1} << j));
  return static_cast<__mmask16>(_mm512_test_epi64_mask(firstRows, bit) | _mm512_test_epi64_mask(lastRows, bit)
                                                                             << 8);
}

/** Logits of keys that a row does not see become −∞. `visible` has `rows` ≤ 16 masks. */
inline void hide(float *logits, int count, const uint64_t *visible, int rows) {
  const __mmask16 present = static_cast<__mmask16>((1u << rows) - 1);
  const __m512i firstRows = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(present), visible);
  const __m512i lastRows = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(present >> 8), visible + 8);
  const __m512 never = _mm512_set1_ps(-INFINITY);
  for (int j = 0; j < count; j++) {
    const __m512 logit = _mm512_load_ps(logits + j * LANES);
    _mm512_store_ps(logits + j * LANES, _mm512_mask_mov_ps(never, seeing(firstRows, lastRows, j), logit));
  }
}

/** Multiplies the output of one row. */
inline void rescaleRow(Bf16State &state, int row, float factor) {
  const __m512 by = _mm512_set1_ps(factor);
  float *output = outputAt(state, row, 0);
  for (int i = 0; i < state.columns / LANES; i++, output += OUTPUT_STEP) {
    _mm512_store_ps(output, _mm512_mul_ps(_mm512_load_ps(output), by));
  }
}

/** Rows among 16, from `row` on, whose references are to give way to the maxima. */
inline __mmask16 outgrown(const Bf16State &state, int row, __m512 maximum) {
  const __m512 limit = _mm512_add_ps(_mm512_load_ps(state.reference + row), _mm512_set1_ps(RESCALE_ABOVE));
  return _mm512_cmp_ps_mask(maximum, limit, _CMP_GT_OQ);
}

inline void noteMaximum(Bf16State &state, int row, __m512 maximum) {
  _mm512_store_ps(state.maximum + row, maxOf(maximum, _mm512_load_ps(state.maximum + row)));
}

/** Takes maxima of the rows [row, row + 16); where they outgrew the references, rescales outputs and sums. */
inline void raiseReference(Bf16State &state, int row, __m512 maximum) {
  noteMaximum(state, row, maximum);
  const __mmask16 raised = outgrown(state, row, maximum);
  if (!raised) return;
  const __m512 before = _mm512_load_ps(state.reference + row);
  const __m512 reference = _mm512_mask_mov_ps(before, raised, maximum);
  _mm512_store_ps(state.reference + row, reference);
  // A first maximum makes 2^−∞ = 0 of sums and outputs that are 0.
  const __m512 factor =
      _mm512_mask_mov_ps(_mm512_set1_ps(1), raised, exp2<Avx512Vec>(_mm512_sub_ps(before, reference)));
  _mm512_store_ps(state.sum + row, _mm512_mul_ps(_mm512_load_ps(state.sum + row), factor));
  _mm512_store_ps(state.weightSum + row, _mm512_mul_ps(_mm512_load_ps(state.weightSum + row), factor));
  alignas(64) float factors[LANES];
  _mm512_store_ps(factors, factor);
  const __mmask16 seen = _mm512_mask_cmp_ps_mask(raised, before, _mm512_set1_ps(-INFINITY), _CMP_GT_OQ);
  for (unsigned rest = seen; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    rescaleRow(state, row + lane, factors[lane]);
  }
}

/**
 * Largest logit of 16 rows among `count` keys, and hides what is not visible: `visible` has a mask for every
 * row of the state, or is null. `logits`: [count][16] of products.
 */
inline __m512 largestLogit(const Bf16State &state, int row, float *logits, int count,
                           const uint64_t *visible) {
  if (visible) {
    const int rows = state.rows - row;
    hide(logits, count, visible + row, rows < LANES ? rows : LANES);
  }
  __m512 most[4];
  for (__m512 &vector : most) vector = _mm512_set1_ps(-INFINITY);
  int j = 0;
  for (; j + 4 <= count; j += 4) {
    for (int i = 0; i < 4; i++) most[i] = maxOf(most[i], _mm512_load_ps(logits + (j + i) * LANES));
  }
  for (; j < count; j++) most[0] = maxOf(most[0], _mm512_load_ps(logits + j * LANES));
  return _mm512_mul_ps(maxOf(maxOf(most[0], most[1]), maxOf(most[2], most[3])), _mm512_set1_ps(state.scale));
}

/** Weights of 16 rows: 2^(logit − reference), summed. */
class RowWeights {
public:
  RowWeights(Bf16State &state, int row) : state(state), row(row), scale(_mm512_set1_ps(state.scale)) {
    sum = _mm512_load_ps(state.sum + row);
    rounded = _mm512_load_ps(state.weightSum + row);
    // Rows without any visible key yet: −∞ stays −∞.
    const __m512 held = _mm512_load_ps(state.reference + row);
    const __mmask16 some = _mm512_cmp_ps_mask(held, _mm512_set1_ps(-INFINITY), _CMP_GT_OQ);
    reference = _mm512_maskz_mov_ps(some, held);
  }
  ~RowWeights() {
    _mm512_store_ps(state.sum + row, sum);
    _mm512_store_ps(state.weightSum + row, rounded);
  }

  /** Of two keys, as pairs of bf16; `logits`: [2][16] of products. */
  __m512i pair(const float *logits) {
    const __m512 first = weight(logits), second = weight(logits + LANES);
    sum = _mm512_add_ps(sum, _mm512_add_ps(first, second));
    return pairWeights(first, second, rounded);
  }
  /** Of one key, with 0 for the key that is not there. */
  __m512i last(const float *logits) {
    const __m512 first = weight(logits);
    sum = _mm512_add_ps(sum, first);
    return pairWeights(first, _mm512_setzero_ps(), rounded);
  }

private:
  __m512 weight(const float *logits) const {
    return exp2<Avx512Vec>(_mm512_fmsub_ps(_mm512_load_ps(logits), scale, reference));
  }

  Bf16State &state;
  const int row;
  const __m512 scale;
  __m512 reference, sum, rounded;
};

} // namespace
} // namespace polymla::cpu
