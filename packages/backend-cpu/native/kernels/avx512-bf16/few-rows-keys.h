#pragma once

#include "../avx512/intrinsics.h"

#include <cmath>
#include <cstring>

#include "../convert.h"
#include "gather.h"
#include "state.h"

namespace polymla::cpu {
namespace {

/** Numbers of a key that are multiplied at once, as two vectors of bf16. */
constexpr int PAIR_LINE = 64;
/** Numbers of a vector of bf16. */
constexpr int PAIR_HALF = 32;

/*
 * How a few query rows read keys for products of bf16 pairs. Each type has an order of its own for dims, by which
 * queries and outputs go too:
 *
 *   position(d)      where dim d is
 *   keyBytes(dims)   of a key, and codeBytes of most of its numbers
 *   load<whole>(key, line, dims, low, high)  a line, or what there is of it: pairs of dims
 *   pairs<whole, half>(even, odd, line, dims, low, high)  half a line of two keys: pairs of keys, interleaved as
 *                    unpacking two vectors of words leaves them
 *   hold()           keeps tables in registers, where there are any
 *   scaleGroup       numbers that share a scale, 0 without scales
 *
 * and those with scales, which `load` and `pairs` leave out,
 *
 *   codes            numbers that have one; what follows them has the scale 1
 *   exactScales      whether scales are powers of two
 *   readScales(tile, scales)  to [groups][TILE_KEYS], from the first key of a
 *                    part on, behind the last one any number; whether all are usual
 */

struct PairsOfBf16 {
  static constexpr int scaleGroup = 0;
  static constexpr bool exactScales = true;
  static int position(int d) { return d; }
  static constexpr int codeBytes = 2;
  static int keyBytes(int dims) { return dims * 2; }
  static void hold() {}

  /** Half a line, or what is left of it in a key of `dims`. */
  template <bool whole> static __m512i half(const std::byte *key, int half, int dims) {
    const std::byte *at = key + half * PAIR_HALF * 2;
    const int left = whole ? PAIR_HALF : dims - half * PAIR_HALF;
    if (left >= PAIR_HALF) return _mm512_loadu_si512(at);
    return left > 0 ? _mm512_maskz_loadu_epi32(0xff, at) : _mm512_setzero_si512();
  }
  template <bool whole> void load(const std::byte *key, int line, int dims, __m512i &low, __m512i &high) const {
    low = half<whole>(key, 2 * line, dims);
    high = half<whole>(key, 2 * line + 1, dims);
  }
  template <bool whole, int which>
  void pairs(const std::byte *even, const std::byte *odd, int line, int dims, __m512i &low, __m512i &high) const {
    __m512i a = half<whole>(even, 2 * line + which, dims), b = half<whole>(odd, 2 * line + which, dims);
    asm("" : "+v"(a), "+v"(b)); // as for codes, below
    low = _mm512_unpacklo_epi16(a, b);
    high = _mm512_unpackhi_epi16(a, b);
  }
};

/**
 * e4m3 in blocks of a line, in the order in which interleaving low and high bytes leaves them. Interleaving the codes of two
 * keys before they are decoded leaves pairs of keys, so neither product needs to store what was decoded.
 */
struct PairsOfE4m3 {
  static constexpr int scaleGroup = 0;
  static constexpr bool exactScales = true;
  static int position(int d) { return d / PAIR_LINE * PAIR_LINE + d % 16 / 8 * PAIR_HALF + d % PAIR_LINE / 16 * 8 + d % 8; }
  static constexpr int codeBytes = 1;
  static int keyBytes(int dims) { return dims; }

  template <bool whole> static __m512i codesOf(const std::byte *key, int line, int dims) {
    const std::byte *at = key + line * PAIR_LINE;
    const int fours = whole ? 16 : (dims - line * PAIR_LINE) / 4;
    __m512i codes = whole ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1 << fours) - 1), at);
    // GCC loads once more for each instruction that overwrites them.
    asm("" : "+v"(codes));
    return codes;
  }
  template <bool whole> void load(const std::byte *key, int line, int dims, __m512i &low, __m512i &high) const {
    decoder.decode(codesOf<whole>(key, line, dims), low, high);
  }
  template <bool whole, int which>
  void pairs(const std::byte *even, const std::byte *odd, int line, int dims, __m512i &low, __m512i &high) const {
    const __m512i a = codesOf<whole>(even, line, dims), b = codesOf<whole>(odd, line, dims);
    decoder.decode(which == 0 ? _mm512_unpacklo_epi8(a, b) : _mm512_unpackhi_epi8(a, b), low, high);
  }
  void hold() { decoder.hold(); }
  E4m3Decoder decoder;
};

/** Numbers may go without a scale between these, to be multiplied with later: it is far from 0 and from infinite. */
constexpr float SMALLEST_USUAL = 0x1p-40f, LARGEST_USUAL = 0x1p40f;

/** Groups of e4m3 that have a scale each, followed by a line of bf16 in their own order. */
template <int groups, int groupSize, int ropeAt> struct PairsOfScaled {
  static constexpr int codes = groups * groupSize;
  static constexpr int scaleGroup = groupSize, codeBytes = 1;
  static int position(int d) { return d < codes ? PairsOfE4m3::position(d) : d; }

  template <bool whole> void load(const std::byte *key, int line, int dims, __m512i &low, __m512i &high) const {
    if (line < codes / PAIR_LINE) return e4m3.load<true>(key, line, dims, low, high);
    PairsOfBf16().load<whole>(key + ropeAt, 0, dims - codes, low, high);
  }
  template <bool whole, int which>
  void pairs(const std::byte *even, const std::byte *odd, int line, int dims, __m512i &low, __m512i &high) const {
    if (line < codes / PAIR_LINE) return e4m3.pairs<true, which>(even, odd, line, dims, low, high);
    PairsOfBf16().pairs<whole, which>(even + ropeAt, odd + ropeAt, 0, dims - codes, low, high);
  }
  void hold() { e4m3.hold(); }
  PairsOfE4m3 e4m3;
};

struct PairsOfFp8With656 : PairsOfScaled<4, 128, 528> {
  static constexpr bool exactScales = false;
  static int keyBytes(int) { return 656; }
  static bool readScales(const KeyTile &tile, float *scales) {
    const __m128 tooSmall = _mm_set1_ps(SMALLEST_USUAL), tooLarge = _mm_set1_ps(LARGEST_USUAL);
    __m128 usual = _mm_castsi128_ps(_mm_set1_epi32(-1));
    for (int k = 0; k < tile.count; k += 4) {
      __m128 of[4];
      for (int i = 0; i < 4; i++) {
        const int key = k + i < tile.count ? k + i : k;
        of[i] = _mm_loadu_ps(reinterpret_cast<const float *>(tile.keys + key * tile.stride + codes));
        const __m128 size = _mm_andnot_ps(_mm_set1_ps(-0.0f), of[i]);
        usual = _mm_and_ps(usual, _mm_and_ps(_mm_cmpgt_ps(size, tooSmall), _mm_cmplt_ps(size, tooLarge)));
      }
      _MM_TRANSPOSE4_PS(of[0], of[1], of[2], of[3]);
      for (int g = 0; g < 4; g++) _mm_store_ps(scales + g * TILE_KEYS + k, of[g]);
    }
    return _mm_movemask_ps(usual) == 0xf;
  }
};

struct PairsOfFp8With584 : PairsOfScaled<7, 64, 448> {
  static constexpr bool exactScales = true;
  static int keyBytes(int) { return 576; }
  static bool readScales(const KeyTile &tile, float *scales) {
    __mmask16 unusual = 0;
    const __m512i everyEighth = _mm512_castsi128_si512(
        _mm_setr_epi8(0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120));
    for (int k = 0; k < tile.count; k += 16) {
      const int left = tile.count - k;
      const auto present = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
      const std::byte *at = tile.scales + k * 8;
      const __m512i first = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(present), at);
      const __m512i last = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(present >> 8), at + 64);
      for (int g = 0; g < 7; g++) {
        const __m512i index = _mm512_add_epi8(everyEighth, _mm512_set1_epi8(static_cast<char>(g)));
        const __m512i codes = _mm512_permutex2var_epi8(first, index, last);
        const __m512 some = ofE8m0(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(codes)));
        unusual |= _mm512_mask_cmp_ps_mask(present, some, _mm512_set1_ps(SMALLEST_USUAL), _CMP_NGT_UQ);
        unusual |= _mm512_mask_cmp_ps_mask(present, some, _mm512_set1_ps(LARGEST_USUAL), _CMP_NLT_UQ);
        _mm512_store_ps(scales + g * TILE_KEYS + k, some);
      }
    }
    return unusual == 0;
  }

private:
  /** 2^(code − 127); 255 is NaN. Code 0, 2^−127, is no exponent of a normal number. */
  static __m512 ofE8m0(__m512i codes) {
    const __m512i bits = _mm512_slli_epi32(codes, 23);
    const __mmask16 zero = _mm512_testn_epi32_mask(codes, codes);
    const __mmask16 nan = _mm512_cmpeq_epi32_mask(codes, _mm512_set1_epi32(255));
    const __m512i some = _mm512_mask_mov_epi32(bits, zero, _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(some, nan, _mm512_set1_epi32(0x7fc00000)));
  }
};

/** Keys that were decoded to bf16 before, in the order of `Keys`. */
template <class Keys> struct PairsOfDecoded {
  static constexpr int scaleGroup = Keys::scaleGroup, codes = Keys::codes;
  static constexpr bool exactScales = Keys::exactScales;
  static void hold() {}

  template <bool> void load(const std::byte *key, int line, int, __m512i &low, __m512i &high) const {
    PairsOfBf16().load<true>(key, line, 0, low, high);
  }
  template <bool, int which>
  void pairs(const std::byte *even, const std::byte *odd, int line, int, __m512i &low, __m512i &high) const {
    PairsOfBf16().pairs<true, which>(even, odd, line, 0, low, high);
  }
};

/** Whether there is a type of keys for products of pairs. */
inline bool inFewPairs(Compute compute) { return compute != Compute::F32 && compute != Compute::F16; }

/** Calls `f` with the key type of a compute type. */
template <class F> inline void withPairKeys(Compute compute, F f) {
  switch (compute) {
  case Compute::Bf16: return f(PairsOfBf16{});
  case Compute::E4m3: return f(PairsOfE4m3{});
  case Compute::Fp8With656: return f(PairsOfFp8With656{});
  case Compute::Fp8With584: return f(PairsOfFp8With584{});
  case Compute::F32:
  case Compute::F16: return;
  }
}

} // namespace
} // namespace polymla::cpu
