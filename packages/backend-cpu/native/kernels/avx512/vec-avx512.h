#pragma once

#include "intrinsics.h"

#include "../vec.h"

namespace polymla::cpu {
namespace {

/** Vectors of AVX-512 (F, BW, DQ, VL). */
struct Avx512Vec : Vec<16> {
  static constexpr int accumulators = 24;
  static constexpr int rowVectors = 2;
  static constexpr int fewRows = 4;

  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  /** The larger; b where either is NaN. */
  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats broadcastQuad(const float *source) { return _mm512_broadcast_f32x4(_mm_loadu_ps(source)); }
  static Floats sumQuads(Floats a, Floats b, Floats c, Floats d) {
    const __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b));
    const __m512d cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d) + _mm512_unpackhi_ps(c, d));
    return _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)) + _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
  }
  static void sum4(float *to, Floats a, Floats b, Floats c, Floats d) {
    const __m256 sums =
        _mm256_hadd_ps(_mm256_hadd_ps(halves(a), halves(b)), _mm256_hadd_ps(halves(c), halves(d)));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }

  static Floats loadBf16(const void *codes) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(codes)), 16));
  }
  static void storeBf16(void *codes, Floats a) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    const __m512i code =
        _mm512_mask_mov_epi32(_mm512_srli_epi32(rounded, 16), nan, _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256(static_cast<__m256i *>(codes), _mm512_cvtepi32_epi16(code));
  }
  static Floats loadF16(const void *codes) { return _mm512_cvtph_ps(load256(codes)); }
  static void storeF16(void *codes, Floats a) {
    _mm256_storeu_si256(static_cast<__m256i *>(codes), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  /** Shifted into place, e4m3 is f16 divided by 2^8, subnormals included. */
  static Floats loadE4m3(const void *codes) {
    const __m256i code = _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i *>(codes)));
    const __m256i magnitude = _mm256_and_si256(code, _mm256_set1_epi16(0x7f));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(code, _mm256_set1_epi16(0x80)), 8);
    const __mmask16 nan = _mm256_cmpeq_epi16_mask(magnitude, _mm256_set1_epi16(0x7f));
    const __m256i f16 =
        _mm256_mask_mov_epi16(_mm256_slli_epi16(magnitude, 7), nan, _mm256_set1_epi16(0x7e00));
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_or_si256(f16, sign)), _mm512_set1_ps(256));
  }

private:
  static __m256 halves(Floats a) {
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  }
  static __m256i load256(const void *codes) {
    return _mm256_loadu_si256(static_cast<const __m256i *>(codes));
  }
};

} // namespace
} // namespace polymla::cpu
