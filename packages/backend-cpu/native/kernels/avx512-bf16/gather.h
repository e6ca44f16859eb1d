#pragma once

#include "../avx512/intrinsics.h"

#include <cstring>

#include "../convert.h"
#include "../kernels.h"

namespace polymla::cpu {
namespace {

/** bf16 of the 128 magnitudes of e4m3: its bytes apart, as vpermi2b looks them up. All are exact; 0x7f is
 * NaN. */
struct E4m3Table {
  alignas(64) uint8_t low[128] = {};
  alignas(64) uint8_t high[128] = {};
  constexpr E4m3Table() {
    for (int code = 0; code < 128; code++) {
      const int exponent = code >> 3, fraction = code & 7;
      uint32_t bf16 = 0;
      if (code == 127) {
        bf16 = 0x7fc0;
      } else if (exponent > 0) {
        bf16 = static_cast<uint32_t>(exponent + 120) << 7 | static_cast<uint32_t>(fraction) << 4;
      } else if (fraction > 0) { // fraction · 2^−9
        const int top = fraction > 3 ? 2 : fraction > 1 ? 1 : 0;
        bf16 = static_cast<uint32_t>(top + 118) << 7 | static_cast<uint32_t>((fraction << (7 - top)) & 127);
      }
      low[code] = static_cast<uint8_t>(bf16);
      high[code] = static_cast<uint8_t>(bf16 >> 8);
    }
  }
};
constexpr E4m3Table E4M3_TABLE;

/** 64 e4m3 codes to bf16, first and last 32. */
struct E4m3Decoder {
  __m512i low0 = _mm512_load_si512(E4M3_TABLE.low), low1 = _mm512_load_si512(E4M3_TABLE.low + 64);
  __m512i high0 = _mm512_load_si512(E4M3_TABLE.high), high1 = _mm512_load_si512(E4M3_TABLE.high + 64);

  /** GCC reads them from memory once more for each use, unless it cannot know what they hold. */
  void hold() { asm("" : "+v"(low0), "+v"(low1), "+v"(high0), "+v"(high1)); }

  /** Such that interleaving low and high bytes, which keeps to 128-bit lanes, leaves numbers in order. */
  static __m512i prepare(__m512i codes) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
  }
  void decode(__m512i prepared, __m512i &first, __m512i &last) const {
    const __m512i low = lookUp(low0, low1, prepared);
    const __m512i magnitude = lookUp(high0, high1, prepared);
    // magnitude | (prepared & 0x80)
    const __m512i high =
        _mm512_ternarylogic_epi64(magnitude, prepared, _mm512_set1_epi8(static_cast<char>(0x80)), 0xf8);
    first = _mm512_unpacklo_epi8(low, high);
    last = _mm512_unpackhi_epi8(low, high);
  }

private:
  /** Overwrites a copy of the indices, which costs nothing; GCC prefers to overwrite the table and to read it again. */
  static __m512i lookUp(__m512i first, __m512i last, __m512i indices) {
    asm("vpermi2b %2, %1, %0" : "+v"(indices) : "v"(first), "v"(last));
    return indices;
  }
};

/** f32 of the bf16 in the low or high half of each pair. */
inline __m512 lowHalf(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline __m512 highHalf(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}

/** bf16 times f32, rounded to nearest even. */
inline __m512i scaled(__m512i numbers, __m512 scale) {
  const __m512i low = reinterpret_cast<__m512i>(
      _mm512_cvtne2ps_pbh(_mm512_setzero_ps(), _mm512_mul_ps(lowHalf(numbers), scale)));
  const __m512i high = reinterpret_cast<__m512i>(
      _mm512_cvtne2ps_pbh(_mm512_setzero_ps(), _mm512_mul_ps(highHalf(numbers), scale)));
  // The low 16 words of each are numbers 0, 2, 4, … and 1, 3, 5, …
  return _mm512_or_si512(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(low)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)), 16));
}

/** Decodes groups of 64 e4m3 codes, a multiple of 16 in all. */
inline void decodeCodes(const E4m3Decoder &decoder, const std::byte *codes, int count, std::byte *target) {
  for (int i = 0; i < count; i += 64) {
    const int left = count - i;
    const __mmask64 present = left < 64 ? (uint64_t{1} << left) - 1 : ~uint64_t{0};
    __m512i first, last;
    decoder.decode(E4m3Decoder::prepare(_mm512_maskz_loadu_epi8(present, codes + i)), first, last);
    _mm512_mask_storeu_epi16(target + i * 2, static_cast<__mmask32>(present), first);
    _mm512_mask_storeu_epi16(target + i * 2 + 64, static_cast<__mmask32>(present >> 32), last);
  }
}

/**
 * Decodes `count` e4m3 codes, a multiple of 64, times a scale. Scales are powers of two as a rule; then the
 * exponents of all numbers but zeros and NaNs are shifted, exactly.
 */
inline void decodeScaled(const E4m3Decoder &decoder, const std::byte *codes, int count, float scale,
                         std::byte *target) {
  const uint32_t bits = bitsOf(scale);
  const int exponent = static_cast<int>(bits >> 23) - 127;
  // e4m3 has exponents −9 … 8.
  const bool shifts = (bits & 0x7fffff) == 0 && exponent > -117 && exponent < 119;
  const __m512i shift = _mm512_set1_epi16(static_cast<int16_t>(exponent * 128));
  for (int i = 0; i < count; i += 64, target += 128) {
    const __m512i prepared = E4m3Decoder::prepare(_mm512_loadu_si512(codes + i));
    __m512i first, last;
    decoder.decode(prepared, first, last);
    if (shifts) {
      // Of code + 1, bits 1 … 6 are 0 for zeros (0, 0x80) and NaNs (0x7f, 0xff) only.
      const __m512i next = _mm512_add_epi8(prepared, _mm512_set1_epi8(1));
      const __m512i ordinary = _mm512_movm_epi8(_mm512_test_epi8_mask(next, _mm512_set1_epi8(0x7e)));
      const __m512i zero = _mm512_setzero_si512();
      first = _mm512_mask_add_epi16(first, _mm512_movepi16_mask(_mm512_unpacklo_epi8(zero, ordinary)), first,
                                    shift);
      last = _mm512_mask_add_epi16(last, _mm512_movepi16_mask(_mm512_unpackhi_epi8(zero, ordinary)), last,
                                   shift);
    } else {
      first = scaled(first, _mm512_set1_ps(scale));
      last = scaled(last, _mm512_set1_ps(scale));
    }
    _mm512_storeu_si512(target, first);
    _mm512_storeu_si512(target + 64, last);
  }
}

/** Makes a tile of bf16 from tokens of a format whose numbers are bf16 or e4m3; see Kernels::gather. */
inline void gatherBf16(const CacheTokens &from, std::byte *tile) {
  constexpr int ropeBytes = 128;
  const E4m3Decoder decoder;
  const size_t bytes = static_cast<size_t>(from.headDim) * 2;
  for (int i = 0; i < from.count; i++, tile += bytes) {
    const std::byte *token = from.tokens[i];
    switch (from.format) {
    case PMLA_KV_E4M3: decodeCodes(decoder, token, from.headDim, tile); break;
    case PMLA_KV_FP8_656:
      for (int group = 0; group < 4; group++) {
        float scale;
        std::memcpy(&scale, token + 512 + group * 4, sizeof scale);
        decodeScaled(decoder, token + group * 128, 128, scale, tile + group * 256);
      }
      std::memcpy(tile + 1024, token + 528, ropeBytes);
      break;
    case PMLA_KV_FP8_584:
      for (int group = 0; group < 7; group++) {
        const float scale = decodeE8m0(static_cast<uint8_t>(from.scales[i][group]));
        decodeScaled(decoder, token + group * 64, 64, scale, tile + group * 128);
      }
      std::memcpy(tile + 896, token + 448, ropeBytes);
      break;
    default: std::memcpy(tile, token, bytes);
    }
  }
}

} // namespace
} // namespace polymla::cpu
