#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kit/round-to-odd.h"

// Numbers of caches, rounded once, ties to even, byte for byte as @polymla/core (dtype/small-float.ts): overflow gives
// ±infinity, ±448 in e4m3, which has none; NaN has one code; subnormals count.

namespace polymla {

/** fp32 as bf16, rounded to nearest even. NaN stays one. */
PMLA_BOTH uint16_t roundToBf16(float value) {
  const uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/** A float format of at most 16 bits: sign, exponent, fraction, from high bit to low. */
template <int Fraction, int MinExponent, uint32_t Sign, uint32_t Largest, uint32_t Nan>
struct SmallFloat {
  /**
   * Codes are consecutive across binades, so a normal number's is the front of its fp32, which half a step rounds up to.
   * Smaller numbers are multiples of one step: adding 2^23 of them rounds to those.
   */
  static PMLA_BOTH uint32_t encode(float value) {
    constexpr int dropped = 23 - Fraction;
    constexpr uint32_t zeros = static_cast<uint32_t>(MinExponent - 1 + 127) << 23;
    constexpr uint32_t steps = static_cast<uint32_t>(MinExponent - Fraction + 23 + 127) << 23;
    const uint32_t bits = bitsOf(value);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return Nan;
    const uint32_t normal = (magnitude + (magnitude >> dropped & 1) + ((1u << (dropped - 1)) - 1 - zeros)) >> dropped;
    const uint32_t small = bitsOf(floatOf(magnitude) + floatOf(steps)) - steps;
    const uint32_t code = magnitude < zeros + (1u << 23) ? small : normal;
    return (bits >> 31 ? Sign : 0) | (code < Largest ? code : Largest);
  }
};

PMLA_BOTH uint16_t encodeF16(float value) {
  return static_cast<uint16_t>(SmallFloat<10, -14, 0x8000, 0x7c00, 0x7e00>::encode(value));
}
PMLA_BOTH uint8_t encodeE4m3(float value) {
  return static_cast<uint8_t>(SmallFloat<3, -6, 0x80, 0x7e, 0x7f>::encode(value));
}

PMLA_BOTH uint16_t encodeF16(double value) { return encodeF16(roundToOdd(value)); }
PMLA_BOTH uint8_t encodeE4m3(double value) { return encodeE4m3(roundToOdd(value)); }
PMLA_BOTH uint16_t encodeBf16(double value) { return roundToBf16(roundToOdd(value)); }

/** Two 16-bit codes in a word, each as it is, but NaN as the one code that it has here. */
template <uint32_t Infinity, uint32_t Nan>
PMLA_BOTH uint32_t withOneNan(uint32_t codes) {
  constexpr uint32_t both = 0x00010001;
  const uint32_t isNan = (((codes & 0x7fff * both) + (0x7fff - Infinity) * both) >> 15 & both) * 0xffff;
  return (codes & ~isNan) | (Nan * both & isNan);
}

/**
 * Division of fp32 numbers whose quotients become e4m3: products with two factors, one below the inverse and one above,
 * that have the same code show which. Both are the inverse where that is a power of two: products are exact then,
 * or too small or large for that to matter.
 */
struct E4m3Divisor {
  double divisor;
  float below;  ///< in magnitude: by 4 steps of fp32, of which roundings take one half and one
  float above;

  explicit E4m3Divisor(double divisor) : divisor(divisor), below(0), above(INFINITY) {
    const auto inverse = static_cast<float>(1 / divisor);
    if (!std::isnormal(inverse)) return;
    int exponent;
    const uint32_t steps = std::fabs(std::frexp(divisor, &exponent)) == 0.5 ? 0 : 4;
    below = floatOf(bitsOf(inverse) - steps);
    above = floatOf(bitsOf(inverse) + steps);
  }

  PMLA_BOTH bool isExact() const { return below == above; }
  PMLA_BOTH double quotient(double value) const { return isExact() ? value * static_cast<double>(below) : value / divisor; }
};

/**
 * Exponent of the scale of a group of packed e4m3: of the smallest power of two that brings numbers up to `magnitude`
 * into ±448, within the exponents that normal fp32 numbers and e8m0 have in common.
 */
PMLA_BOTH int scaleExponent(double magnitude) {
  const double quotient = magnitude / 448;
  uint64_t bits;
  memcpy(&bits, &quotient, sizeof bits);
  const bool isPower = (bits & 0xfffffffffffff) == 0;
  const int exponent = static_cast<int>(bits >> 52) - 1023 + (isPower ? 0 : 1);
  return exponent < -126 ? -126 : exponent > 127 ? 127 : exponent;
}

/** The same of fp32: magnitude ≤ 448 · 2^e where its fraction, carried into its exponent from above 1.75, is at most e + 8. */
PMLA_BOTH int scaleExponent(float magnitude) {
  const int exponent = static_cast<int>((bitsOf(magnitude) + 0x1fffff) >> 23) - 127 - 8;
  return exponent < -126 ? -126 : exponent;
}

/** 2^exponent of a normal double. */
PMLA_BOTH double powerOfTwo(int exponent) {
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace polymla
