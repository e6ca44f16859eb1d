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
 *   tokenLines(dims) cache lines of a key
 *   staged           whether numbers are stored on the way, for the second product
 *   scaleGroup       numbers that share a scale, 0 without scales; what no scale belongs to has the scale 1
 *   exactScales      whether scales are powers of two
 *   load<whole>(key, line, dims, low, high)  a line, or what there is of it
 *   scale(key, scales, group)  that numbers of `load` lack; where it is not `usual`, there is `loadScaled`
 */

struct PairsOfBf16 {
  static constexpr int scaleGroup = 0;
  static constexpr bool staged = false, exactScales = true;
  static int position(int d) { return d; }
  static int tokenLines(int dims) { return ceilDiv(dims, PAIR_HALF); }

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
};

/** e4m3 in blocks of a line, in the order in which interleaving low and high bytes leaves them. */
struct PairsOfE4m3 {
  static constexpr int scaleGroup = 0;
  static constexpr bool staged = true, exactScales = true;
  static int position(int d) { return d / PAIR_LINE * PAIR_LINE + d % 16 / 8 * PAIR_HALF + d % PAIR_LINE / 16 * 8 + d % 8; }
  static int tokenLines(int dims) { return ceilDiv(dims, PAIR_LINE); }

  template <bool whole> void load(const std::byte *key, int line, int dims, __m512i &low, __m512i &high) const {
    const std::byte *at = key + line * PAIR_LINE;
    if (whole) return decoder.decode(_mm512_loadu_si512(at), low, high);
    const auto present = static_cast<__mmask16>((1 << (dims - line * PAIR_LINE) / 4) - 1);
    decoder.decode(_mm512_maskz_loadu_epi32(present, at), low, high);
  }
  E4m3Decoder decoder;
};

/** Groups of e4m3 that have a scale each, followed by a line of bf16 in their own order. */
template <int groups, int groupSize, int ropeAt> struct PairsOfScaled {
  static constexpr int codes = groups * groupSize;
  static constexpr int scaleGroup = groupSize;
  static constexpr bool staged = true;
  static int position(int d) { return d < codes ? PairsOfE4m3::position(d) : d; }

  template <bool whole> void load(const std::byte *key, int line, int dims, __m512i &low, __m512i &high) const {
    if (line < codes / PAIR_LINE) return e4m3.load<true>(key, line, dims, low, high);
    PairsOfBf16().load<whole>(key + ropeAt, 0, dims - codes, low, high);
  }
  void loadScaled(const std::byte *key, int line, float scale, __m512i &low, __m512i &high) const {
    alignas(64) uint16_t natural[PAIR_LINE], ordered[PAIR_LINE];
    decodeScaled(e4m3.decoder, key + line * PAIR_LINE, PAIR_LINE, scale, reinterpret_cast<std::byte *>(natural));
    for (int d = 0; d < PAIR_LINE; d++) ordered[PairsOfE4m3::position(d)] = natural[d];
    low = _mm512_load_si512(ordered);
    high = _mm512_load_si512(ordered + PAIR_HALF);
  }
  /** Numbers may go without a scale, to be multiplied with later, that is far from 0 and from infinite. */
  static bool usual(float scale) { return std::fabs(scale) > 0x1p-40f && std::fabs(scale) < 0x1p40f; }

  PairsOfE4m3 e4m3;
};

struct PairsOfFp8With656 : PairsOfScaled<4, 128, 528> {
  static constexpr bool exactScales = false;
  static int tokenLines(int) { return 11; }
  static float scale(const std::byte *key, const std::byte *, int group) {
    float scale;
    std::memcpy(&scale, key + codes + 4 * group, sizeof scale);
    return scale;
  }
};

struct PairsOfFp8With584 : PairsOfScaled<7, 64, 448> {
  static constexpr bool exactScales = true;
  static int tokenLines(int) { return 9; }
  static float scale(const std::byte *, const std::byte *scales, int group) {
    return decodeE8m0(static_cast<uint8_t>(scales[group]));
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
