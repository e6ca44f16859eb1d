#pragma once

#include <immintrin.h>

#include "vec.h"

namespace polymla::cpu {
namespace {

/** AVX2, FMA and F16C: 16 registers of 8 floats. */
struct Avx2Vec : Vec<8> {
  static constexpr int accumulators = 12;
  static constexpr int rowVectors = 4;
  static constexpr int fewRows = 4;

  static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats broadcastQuad(const float *source) {
    return _mm256_broadcast_ps(reinterpret_cast<const __m128 *>(source));
  }
  static Floats sumQuads(Floats a, Floats b, Floats c, Floats d) {
    return _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  }
  static void sum4(float *to, Floats a, Floats b, Floats c, Floats d) {
    const __m256 sums = sumQuads(a, b, c, d);
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }

  static Floats loadBf16(const void *codes) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i *>(codes)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static Floats loadF16(const void *codes) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(codes)));
  }
  /** By way of f16, whose exponents reach further by 8; NaN becomes f16's own. */
  static Floats loadE4m3(const void *codes) {
    const __m128i code = _mm_cvtepu8_epi16(_mm_loadl_epi64(static_cast<const __m128i *>(codes)));
    const __m128i magnitude = _mm_and_si128(code, _mm_set1_epi16(0x7f));
    const __m128i sign = _mm_slli_epi16(_mm_xor_si128(code, magnitude), 8);
    const __m128i nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7f));
    const __m128i f16 = _mm_or_si128(_mm_or_si128(_mm_slli_epi16(magnitude, 7), sign), _mm_srli_epi16(nan, 1));
    return _mm256_mul_ps(_mm256_cvtph_ps(f16), _mm256_set1_ps(256));
  }
  static void storeBf16(void *codes, Floats a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256 isNumber = _mm256_cmp_ps(a, a, _CMP_ORD_Q);
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
    const __m256 kept = _mm256_blendv_ps(nan, _mm256_castsi256_ps(rounded), isNumber);
    const __m256i high = _mm256_srli_epi32(_mm256_castps_si256(kept), 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128(static_cast<__m128i *>(codes), packed);
  }
  static void storeF16(void *codes, Floats a) {
    _mm_storeu_si128(static_cast<__m128i *>(codes), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
};

} // namespace
} // namespace polymla::cpu
