#pragma once

#include "intrinsics.h"

#include <cmath>
#include <cstring>

#include "../numbers.h"

namespace polymla::cpu {
namespace {

/** Numbers of a key that are taken at once. */
constexpr int LINE = 32;

/** A line of numbers, in the order in which the key type likes to have them. */
struct Line {
  __m512 first, last;
};

/*
 * How a few query rows read keys. Each type of keys has an order of its own for dims, by which queries and
 * outputs go too, so that no number moves between lanes:
 *
 *   position(d)              where dim d is
 *   positions(dims)          places that so many dims take, whole lines; those behind the last dim hold zeros
 *   scale                    what numbers are to be multiplied with
 *   wholeTiles               whether keys are taken by tiles, for which `group` is 16; else by groups
 *   group                    keys that are taken at a time: two groups stay in the first-level cache
 *   lineBytes                that a line of numbers takes, about
 *   staged                   whether numbers are stored in f32 on the way, for the second product
 *   Values                   what the second product reads, with
 *   load(key, line, whole)   a line, or its first half
 *   forLines(key, scales, dims, f)  f(line, numbers) for all lines of a key, in order
 */

/** The lines of keys that are read in place. */
template <class Keys, class F> inline void forLinesInPlace(const std::byte *key, int dims, F f) {
  const int whole = dims / LINE;
  for (int line = 0; line < whole; line++) f(line, Keys::load(key, line, true));
  if (dims % LINE != 0) f(whole, Keys::load(key, whole, false));
}

/** Numbers after conversion. */
struct StagedF32 {
  static Line load(const std::byte *key, int line, bool) {
    const std::byte *at = key + line * LINE * 4;
    return {_mm512_load_ps(at), _mm512_load_ps(at + 64)};
  }
};

/** Keys whose dims stay in order. */
struct FewInOrder {
  static constexpr bool staged = false, wholeTiles = true;
  static constexpr int group = 16;
  static constexpr float scale = 1;
  static int position(int d) { return d; }
  static int positions(int dims) { return (dims + LINE - 1) / LINE * LINE; }
};

struct FewF32 : FewInOrder {
  using Values = FewF32;
  static constexpr int lineBytes = 128;
  static Line load(const std::byte *key, int line, bool whole) {
    const std::byte *at = key + line * LINE * 4;
    return {_mm512_loadu_ps(at), whole ? _mm512_loadu_ps(at + 64) : _mm512_setzero_ps()};
  }
  template <class F> static void forLines(const std::byte *key, const std::byte *, int dims, F f) {
    forLinesInPlace<FewF32>(key, dims, f);
  }
};

struct FewF16 : FewInOrder {
  using Values = FewF16;
  static constexpr int lineBytes = 64;
  static Line load(const std::byte *key, int line, bool whole) {
    const auto at = reinterpret_cast<const __m256i *>(key + line * LINE * 2);
    return {_mm512_cvtph_ps(_mm256_loadu_si256(at)),
            whole ? _mm512_cvtph_ps(_mm256_loadu_si256(at + 1)) : _mm512_setzero_ps()};
  }
  template <class F> static void forLines(const std::byte *key, const std::byte *, int dims, F f) {
    forLinesInPlace<FewF16>(key, dims, f);
  }
};

/** Even dims of a line first, then odd ones: bf16 is the high half of f32. */
struct FewBf16 {
  using Values = FewBf16;
  static constexpr bool staged = false, wholeTiles = false;
  static constexpr int group = 8;
  static constexpr float scale = 1;
  static int position(int d) { return d / LINE * LINE + d % 2 * (LINE / 2) + d % LINE / 2; }
  static int positions(int dims) { return (dims + LINE - 1) / LINE * LINE; }
  static constexpr int lineBytes = 64;
  static Line load(const std::byte *key, int line, bool whole) {
    const std::byte *at = key + line * LINE * 2;
    return widened(whole ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi32(0xff, at));
  }
  static Line widened(__m512i pairs) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))))};
  }
  template <class F> static void forLines(const std::byte *key, const std::byte *, int dims, F f) {
    forLinesInPlace<FewBf16>(key, dims, f);
  }
};

/** e4m3 in blocks of 64, even dims first, then odd ones. */
struct E4m3Block {
  static constexpr int size = 64;
  /** What `raw` is short of: shifted into place, e4m3 is f16 divided by 2^8, subnormals included. */
  static constexpr float scale = 256;

  static int position(int d) { return d / size * size + d % 2 * LINE + d % size / 2; }
  static int positions(int dims) { return (dims + size - 1) / size * size; }

  /** Whether a code is NaN, which `raw` does not see. */
  static bool hasNaN(__m512i codes) {
    const __m512i magnitude = _mm512_and_si512(codes, _mm512_set1_epi8(0x7f));
    return _mm512_cmpeq_epi8_mask(magnitude, _mm512_set1_epi8(0x7f)) != 0;
  }
  /** Numbers divided by `scale`, even and odd dims. */
  static void raw(__m512i codes, Line (&lines)[2]) {
    const __m512i kept = _mm512_set1_epi16(static_cast<int16_t>(0xbf80));
    lines[0] = widened(_mm512_and_si512(_mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 1), kept));
    lines[1] = widened(_mm512_and_si512(_mm512_srai_epi16(codes, 1), kept));
  }
  /** By the definition, for the rare numbers that the fast way gets wrong. */
  static void slow(__m512i codes, float factor, Line (&lines)[2]) {
    alignas(64) uint8_t code[size];
    _mm512_store_si512(code, codes);
    for (int d = 0; d < size; d++) {
      reinterpret_cast<float *>(lines)[position(d)] = decodeE4m3(code[d]) * factor;
    }
  }

private:
  static Line widened(__m512i f16) {
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(f16)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(f16, 1))};
  }
};

struct FewE4m3 {
  using Values = StagedF32;
  static constexpr bool staged = true, wholeTiles = false;
  static constexpr int group = 4;
  static constexpr float scale = E4m3Block::scale;
  static int position(int d) { return E4m3Block::position(d); }
  static int positions(int dims) { return E4m3Block::positions(dims); }
  static constexpr int lineBytes = 32;
  template <class F> static void forLines(const std::byte *key, const std::byte *, int dims, F f) {
    for (int d = 0; d < dims; d += E4m3Block::size) {
      const int left = dims - d;
      const auto present = static_cast<__mmask16>(left >= E4m3Block::size ? 0xffff : (1 << left / 4) - 1);
      const __m512i codes = _mm512_maskz_loadu_epi32(present, key + d);
      Line lines[2];
      E4m3Block::raw(codes, lines);
      if (E4m3Block::hasNaN(codes)) [[unlikely]] E4m3Block::slow(codes, 1 / scale, lines);
      f(d / LINE, lines[0]);
      f(d / LINE + 1, lines[1]);
    }
  }
};

/** Groups of e4m3 that have a scale each, followed by bf16. */
template <int groups, int groupSize, int ropeAt> struct FewScaled {
  static constexpr int codes = groups * groupSize;
  using Values = StagedF32;
  static constexpr bool staged = true, wholeTiles = false;
  static constexpr int group = 4;
  static constexpr float scale = 1;
  static int position(int d) {
    return d < codes ? E4m3Block::position(d) : codes + FewBf16::position(d - codes);
  }
  static int positions(int dims) {
    return dims <= codes ? E4m3Block::positions(dims) : codes + FewBf16::positions(dims - codes);
  }
  static constexpr int lineBytes = 36;

protected:
  template <class Scale, class F> static void forLines(const std::byte *key, Scale scaleOf, int dims, F f) {
    for (int g = 0; g < groups; g++) {
      const float scaleOfGroup = scaleOf(g);
      const __m512 factor = _mm512_set1_ps(scaleOfGroup * E4m3Block::scale);
      const bool slow = !(std::fabs(scaleOfGroup) < 0x1p119f); // NaN too
      for (int d = g * groupSize; d < (g + 1) * groupSize; d += E4m3Block::size) {
        const __m512i block = _mm512_loadu_si512(key + d);
        Line lines[2];
        E4m3Block::raw(block, lines);
        for (Line &line : lines) line = {_mm512_mul_ps(line.first, factor), _mm512_mul_ps(line.last, factor)};
        if (slow || E4m3Block::hasNaN(block)) [[unlikely]] E4m3Block::slow(block, scaleOfGroup, lines);
        f(d / LINE, lines[0]);
        f(d / LINE + 1, lines[1]);
      }
    }
    forLinesInPlace<FewBf16>(key + ropeAt, dims - codes,
                             [&](int line, Line numbers) { f(codes / LINE + line, numbers); });
  }
};

struct FewFp8With656 : FewScaled<4, 128, 528> {
  template <class F> static void forLines(const std::byte *key, const std::byte *, int dims, F f) {
    FewScaled::forLines(
        key,
        [&](int g) {
          float scale;
          std::memcpy(&scale, key + codes + 4 * g, sizeof scale);
          return scale;
        },
        dims, f);
  }
};

struct FewFp8With584 : FewScaled<7, 64, 448> {
  template <class F> static void forLines(const std::byte *key, const std::byte *scales, int dims, F f) {
    FewScaled::forLines(key, [&](int g) { return decodeE8m0(static_cast<uint8_t>(scales[g])); }, dims, f);
  }
};

/** Calls `f` with the key type of a compute type. */
template <class F> inline void withFewKeys(Compute compute, F f) {
  switch (compute) {
  case Compute::Bf16: return f(FewBf16{});
  case Compute::F16: return f(FewF16{});
  case Compute::E4m3: return f(FewE4m3{});
  case Compute::Fp8With656: return f(FewFp8With656{});
  case Compute::Fp8With584: return f(FewFp8With584{});
  case Compute::F32: return f(FewF32{});
  }
}

} // namespace
} // namespace polymla::cpu
