#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polymla::cpu {
namespace {

/**
 * What every vector type has in common: `lanes_` floats, a power of two up to 16. The kernels that are written for all
 * instruction sets take a type V, derived from this, that offers besides:
 *
 *   fma(a, b, c)                 a · b + c
 *   max(a, b)                    the larger; where b is NaN, NaN
 *   broadcastQuad(source)        the same 4 floats, from any alignment, in every quad of lanes
 *   sumQuads(a, b, c, d)         in every quad of lanes the sums of that quad of each
 *   sum4(to, a, b, c, d)         the sums of the lanes of each, to 4 floats
 *   loadBf16, loadF16, loadE4m3  (const void *) `lanes` codes of any alignment; exact, NaN stays NaN
 *   storeBf16, storeF16          (void *, a) the same back, rounded to nearest even
 *
 * It may replace what is here by something faster, and says how its registers are best used:
 *
 *   accumulators                 sums of products that fit in registers beside their factors
 *   rowVectors                   vectors of query rows that pass a tile at a time
 *   fewRows                      query rows up to which scores are sums over lanes, at most `lanes` and 8
 */
template <int lanes_> struct Vec {
  static constexpr int lanes = lanes_;
  typedef float Floats __attribute__((vector_size(4 * lanes_)));
  typedef uint32_t Bits __attribute__((vector_size(4 * lanes_)));
  typedef uint64_t Words __attribute__((vector_size(4 * lanes_)));

  /** From any alignment. */
  static Floats load(const void *source) {
    Floats value;
    std::memcpy(&value, source, sizeof value);
    return value;
  }
  static void store(void *target, Floats value) { std::memcpy(target, &value, sizeof value); }
  static Floats zero() { return Floats{}; }
  static Floats broadcast(float value) { return value - Floats{}; }

  /** Nearest integers, ties to even, for |a| < 2^22. */
  static Floats round(Floats a) { return a + 0x1.8p23f - 0x1.8p23f; }
  /** a · 2^n for finite a and integers −126 ≤ n ≤ 127; zeros for n = −127. */
  static Floats scale(Floats a, Floats n) { return a * (Floats)((Bits)(n + (0x1.8p23f + 127)) << 23); }
};

} // namespace
} // namespace polymla::cpu
